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
const answered = `TW-1 TW-2 TW-3 TW-4 TW-5 TW-6 TW-7 TW-8 TW-9 TW-10 TW-11 TW-12 TW-13 TW-14 TW-15 TW-16 TW-17 TW-18 TW-19 TW-20
	TW-21 TW-22 TW-23 TW-24 TW-32 TW-33 TW-34 TW-37 TW-38 TW-39 TW-40 TW-41 TW-42 TW-43 PT-7 PT-8 PT-9 PT-10 DM-4 DM-13
	DZ-1 DZ-2 DZ-3 DZ-4 DZ-5 DZ-6 DZ-7 DZ-8 DZ-9 DZ-10 DZ-11 DZ-12 DZ-13 DZ-14 DZ-15 DZ-16 DZ-17 DZ-18 DZ-19 DZ-20
	RA-1 RA-2 RA-3 ST-2 RP-3 RP-5 RP-7 RP-8 RP-10 TW-25 TW-26 TW-27 TW-28 TW-29 TW-30 TW-31 TW-44
	DM-6 DM-9 DM-11 DM-12 DM-14 DM-15 DM-16 DM-17 DM-18 DM-20 DM-22 DM-23 DM-27
	PT-1 PT-2 PT-3 PT-4 PT-5 PT-6 PT-16 PT-17
	EN-4 EN-5 EN-6 EN-7 LV-1 LV-3 LV-4 LV-5 ST-1 ST-3 ST-8
	RP-1 RP-2 RP-4 RP-6 RP-9 MO-7 ZQ-1 ZQ-2 ZQ-3 ZQ-4 RC-2 RC-3 ZX-1
	ZT-1 PC-1 PC-2 PC-3 PC-4 PC-5 PC-6 PC-7 PL-1 PL-2 PL-3 PL-4 PL-5 DQ-1 DD-1 DD-2 DD-3 DD-4 DP-1 CH-1 CH-2 CH-3 CH-4 CH-5
	RC-1 RC-4 RC-5 RC-6 RC-7 DI-1 DI-2 DI-3 IC-1 IC-2 DQ-2 SP-1 SP-2 SP-3 SP-4 SP-5 PT-11 PT-12 ST-6 CB-1 CB-2 CB-3 CB-4 CB-5 CB-6 CB-7 CB-8 CB-9 CB-10 CB-11 CB-12
	TF-1 TF-2 TF-3 TF-4 TF-5 TF-6`

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
