// Package docs holds the project's documents, so that programs can carry them along. The library does not import it.
package docs

import (
	"embed"
	"io/fs"
)

//go:embed *.md
var files embed.FS

// Files returns the documents of this folder, by their names.
func Files() fs.FS { return files }
