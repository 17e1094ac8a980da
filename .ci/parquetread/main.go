// Command parquetread prints the rows of Parquet files as lines of JSON, and
// before them a file's schema. It reads with another library than the program
// writes with, so that a test can compare; the library is a module of its own
// because it brings a hundred others.
//
//	parquetread FILE...
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

func main() {
	for _, name := range os.Args[1:] {
		if err := print(name); err != nil {
			fmt.Fprintln(os.Stderr, name+":", err)
			os.Exit(1)
		}
	}
}

func print(name string) error {
	f, err := file.OpenParquetFile(name, false)
	if err != nil {
		return err
	}
	defer f.Close()
	reader, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		return err
	}
	table, err := reader.ReadTable(context.Background())
	if err != nil {
		return err
	}
	defer table.Release()
	schema := map[string]string{}
	for _, field := range table.Schema().Fields() {
		schema[field.Name] = field.Type.String()
	}
	fmt.Printf("%q\n", fmt.Sprint(schema))
	records := array.NewTableReader(table, -1)
	defer records.Release()
	for records.Next() {
		if err := array.RecordToJSON(records.RecordBatch(), os.Stdout); err != nil {
			return err
		}
	}
	return records.Err()
}
