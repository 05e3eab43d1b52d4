package spool_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// answered are the behaviours that Spool has an answer to: docs/heritage.md says which, and what shows it.
const answered = `TW-25 TW-26 TW-27 TW-28 TW-29 TW-30 TW-31 TW-44
	DM-6 DM-9 DM-11 DM-12 DM-14 DM-15 DM-16 DM-17 DM-18 DM-20 DM-22 DM-23 DM-27
	PT-1 PT-2 PT-3 PT-4 PT-5 PT-6 PT-16 PT-17
	EN-4 EN-5 EN-6 EN-7 LV-1 LV-3 LV-4 LV-5 ST-1 ST-3 ST-8
	RP-1 RP-2 RP-4 RP-6 RP-9 MO-7 ZQ-1 ZQ-2 ZQ-3 ZQ-4 RC-2 RC-3 ZX-1`

var (
	behaviour = regexp.MustCompile(`^[A-Z]{2}-[0-9]+$`)
	testName  = regexp.MustCompile("`((?:Test|Example|Fuzz)[A-Za-z0-9_]*)`")
	testFunc  = regexp.MustCompile(`(?m)^func ((?:Test|Example|Fuzz)[A-Za-z0-9_]*)\(`)
)

// Every answered behaviour has its row and is shown by something; no number occurs twice; what the rows name exists.
func TestHeritage(t *testing.T) {
	t.Parallel()
	tests := testsOfTheTree(t)
	rows := map[string]string{} // by number, what shows it
	for line := range strings.Lines(string(must(os.ReadFile("docs/heritage.md"))(t))) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		number := strings.TrimSpace(cells[0])
		if !behaviour.MatchString(number) {
			continue
		}
		if len(cells) != 4 {
			t.Errorf("%s: %d columns", number, len(cells))
			continue
		}
		if _, twice := rows[number]; twice {
			t.Errorf("%s occurs twice", number)
		}
		rows[number] = cells[3]
		for _, cell := range cells[1:3] {
			if strings.TrimSpace(cell) == "" {
				t.Errorf("%s: an empty column", number)
			}
		}
		for _, name := range testName.FindAllStringSubmatch(cells[3], -1) {
			if !tests[name[1]] {
				t.Errorf("%s: there is no %s", number, name[1])
			}
		}
		if rest := strings.Trim(testName.ReplaceAllString(cells[3], ""), ", "); rest != "" {
			t.Errorf("%s: %q is neither test nor example", number, rest)
		}
	}
	for _, number := range strings.Fields(answered) {
		shown, there := rows[number]
		if !there {
			t.Errorf("%s has no row", number)
		} else if number != "ZX-1" && !testName.MatchString(shown) {
			t.Errorf("%s is shown by nothing", number)
		}
	}
}

// testsOfTheTree are the names of all tests, examples and fuzz tests.
func testsOfTheTree(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, name := range testFunc.FindAllStringSubmatch(string(text), -1) {
			found[name[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
