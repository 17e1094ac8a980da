package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// connection is a kept connection of a client. It speaks as little HTTP/1.1 as
// it takes, so that the clients leave the machine to what is measured.
type connection struct {
	net.Conn
	reader *bufio.Reader
}

func dial(ctx context.Context, address string) (*connection, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: conn, reader: bufio.NewReader(conn)}, nil
}

// post returns the bytes of a request under an idempotency key.
func post(host, path, key string, body []byte) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"+
		"Idempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s", path, host, key, len(body), body)
}

// send sends a request. Any answer but 201 is an error.
func (c *connection) send(request []byte) error {
	const patience = 30 * time.Second
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := c.Write(request); err != nil {
		return err
	}
	status, length, err := c.readHeader()
	if err != nil {
		return err
	}
	if status == 201 {
		_, err = c.reader.Discard(length)
		return err
	}
	answer := make([]byte, length)
	_, err = io.ReadFull(c.reader, answer)
	return errors.Join(fmt.Errorf("a booking was answered with %d: %s", status, answer), err)
}

// readHeader returns the status and the length of the body.
func (c *connection) readHeader() (status, length int, err error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	if len(line) < len("HTTP/1.1 201") {
		return 0, 0, fmt.Errorf("the server speaks no HTTP: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, 0, err
	}
	length = -1
	for {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return 0, 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, 0, err
			}
		}
	}
	if length < 0 {
		err = errors.New("the answer does not say how long it is")
	}
	return status, length, err
}
