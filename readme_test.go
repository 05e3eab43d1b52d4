package spool_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The program in README.md is the package example, and what it says that it prints is what the example prints.
func TestReadmeShowsTheExample(t *testing.T) {
	t.Parallel()
	readme, source := read(t, "README.md"), read(t, "example_readme_test.go")
	program, output, found := strings.Cut(source, "\t// Output:\n")
	if !found {
		t.Fatal("the example has no output")
	}
	program = strings.Replace(program, "package spool_test", "package main", 1)
	program = strings.Replace(program, "func Example() {", "func main() {", 1) + "}\n"
	output = strings.ReplaceAll(strings.TrimSuffix(output, "}\n"), "\t// ", "")

	blocks := regexp.MustCompile("(?s)```(\\w*)\n(.*?)```").FindAllStringSubmatch(readme, -1)
	if len(blocks) < 2 || blocks[0][1] != "go" {
		t.Fatal("README.md does not begin with the program and its output")
	}
	if blocks[0][2] != program {
		t.Errorf("the program in README.md:\n%s\nThe example as a program:\n%s", blocks[0][2], program)
	}
	if blocks[1][2] != output {
		t.Errorf("the output in README.md: %q, of the example: %q", blocks[1][2], output)
	}
	if n := strings.Count(program, "\n"); n > 31 {
		t.Errorf("the program has %d lines: too long for a first look", n)
	}
	if n := strings.Count(readme, "\n"); n >= 200 {
		t.Errorf("README.md has %d lines", n)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
