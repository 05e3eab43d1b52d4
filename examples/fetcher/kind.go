package main

import (
	"net/url"
	"strings"

	"github.com/spooljobs/spool"
)

// kind is one of the four lists that the API has of a name. Its text is the path of that list.
type kind string

const (
	friendsUsers   kind = "statuses/friends"
	followersUsers kind = "statuses/followers"
	friendsIDs     kind = "friends/ids"
	followersIDs   kind = "followers/ids"
)

func kinds() []kind { return []kind{friendsUsers, followersUsers, friendsIDs, followersIDs} }

// ids says whether the list holds bare ids. The others hold users.
func (k kind) ids() bool { return strings.HasSuffix(string(k), "/ids") }

// key is the member of a page's JSON that holds the items.
func (k kind) key() string {
	if k.ids() {
		return "ids"
	}
	return "users"
}

// address is where a list is found. The base URL says which server, and where on it the API is; a slash at its end says
// that nothing of it is to be cut off. The name becomes one segment of the path, whatever characters it has.
func address(base string, k kind, name string) (string, error) {
	switch {
	case !strings.HasSuffix(base, "/"):
		return "", &spool.FieldError{Field: "Base", Value: base, Rule: "must end in a slash"}
	case k != friendsUsers && k != followersUsers && k != friendsIDs && k != followersIDs:
		return "", &spool.FieldError{Field: "Kind", Value: string(k), Rule: "must be one of the four kinds"}
	case name == "":
		return "", &spool.FieldError{Field: "Name", Value: name, Rule: "must not be empty"}
	}
	return base + string(k) + "/" + url.PathEscape(name) + ".json", nil
}

// item is an element of a list. Two with one number are the same; the API has no number 0.
type item interface{ number() int64 }

type id int64

func (i id) number() int64 { return int64(i) }

type user struct {
	ID   int64  `json:"id"`
	Name string `json:"screen_name"`
}

func (u user) number() int64 { return u.ID }
