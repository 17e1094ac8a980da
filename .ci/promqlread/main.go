// Command promqlread prints what the alert rules and dashboards of monitoring
// ask for: one line of JSON for each expression of PromQL, with the series that
// it selects. It reads with the parsers of Prometheus itself, which are a module
// of their own because they bring many others.
//
//	promqlread FILE...
//
// A file that ends in .json is a dashboard of Grafana, another one a file of
// rules. What cannot be parsed ends the program with status 1.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// expression is an expression and where it is.
type expression struct {
	File   string   `json:"file"`
	Of     string   `json:"of"` // the alert, or the panel
	Text   string   `json:"text"`
	Series []series `json:"series"`
}

// series is what a selector selects.
type series struct {
	Metric string   `json:"metric"`
	Labels []string `json:"labels"` // that it is chosen or grouped by
}

func main() {
	for _, name := range os.Args[1:] {
		if err := read(name); err != nil {
			fmt.Fprintln(os.Stderr, name+":", err)
			os.Exit(1)
		}
	}
}

func read(name string) error {
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	found, err := rules(content)
	if strings.HasSuffix(name, ".json") {
		found, err = dashboard(content)
	}
	if err != nil {
		return err
	}
	for _, e := range found {
		e.File = name
		if e.Series, err = selected(e.Text); err != nil {
			return fmt.Errorf("%s: %w", e.Of, err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(e); err != nil {
			return err
		}
	}
	return nil
}

// promql is the language, without what is experimental.
var promql = parser.NewParser(parser.Options{})

// ruleFile is a file of rules, with every field that it may have. Prometheus'
// own type for it would bring its whole engine.
type ruleFile struct {
	Groups []struct {
		Name     string         `yaml:"name"`
		Interval model.Duration `yaml:"interval"`
		Rules    []struct {
			Record        string            `yaml:"record"`
			Alert         string            `yaml:"alert"`
			Expr          string            `yaml:"expr"`
			For           model.Duration    `yaml:"for"`
			KeepFiringFor model.Duration    `yaml:"keep_firing_for"`
			Labels        map[string]string `yaml:"labels"`
			Annotations   map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

// rules returns the expressions of a file of rules.
func rules(content []byte) ([]expression, error) {
	var file ruleFile
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return nil, err
	}
	var found []expression
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if (r.Alert == "") == (r.Record == "") {
				return nil, fmt.Errorf("a rule of %s is neither an alert nor a record, or both", g.Name)
			}
			found = append(found, expression{Of: r.Alert + r.Record, Text: r.Expr})
		}
	}
	return found, nil
}

// panel is as much of a panel as matters here.
type panel struct {
	Title   string `json:"title"`
	Targets []struct {
		Expr string `json:"expr"`
	} `json:"targets"`
	Panels []panel `json:"panels"` // of a row
}

// dashboard returns the expressions of a dashboard, its variables filled in.
func dashboard(content []byte) ([]expression, error) {
	var d panel
	if err := json.Unmarshal(content, &d); err != nil {
		return nil, err
	}
	filled := strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$__interval", "1m", "$model", ".*", "$instance", ".*")
	var found []expression
	var walk func([]panel)
	walk = func(panels []panel) {
		for _, p := range panels {
			for _, t := range p.Targets {
				found = append(found, expression{Of: p.Title, Text: filled.Replace(t.Expr)})
			}
			walk(p.Panels)
		}
	}
	walk(d.Panels)
	return found, nil
}

// selected returns what an expression selects.
func selected(text string) ([]series, error) {
	parsed, err := promql.ParseExpr(text)
	if err != nil {
		return nil, err
	}
	var all []series
	parser.Inspect(parsed, func(n parser.Node, path []parser.Node) error {
		selector, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		s := series{Labels: []string{}}
		for _, m := range selector.LabelMatchers {
			if m.Name == labels.MetricName {
				s.Metric = m.Value
				continue
			}
			s.Labels = append(s.Labels, m.Name)
		}
		for _, above := range path {
			if a, ok := above.(*parser.AggregateExpr); ok && !a.Without {
				s.Labels = append(s.Labels, a.Grouping...)
			}
		}
		all = append(all, s)
		return nil
	})
	return all, nil
}
