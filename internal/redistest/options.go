package redistest

import "strconv"

// Option changes how a server is launched.
type Option func(*options)

type options struct {
	args     []string
	aofDir   string
	password string
}

// Args adds arguments to the command line, after those of this package, so that
// they win: Args("--maxmemory", "10mb"). Port and bind address must stay.
func Args(args ...string) Option {
	return func(o *options) { o.args = append(o.args, args...) }
}

// AppendOnly makes the server keep an append-only file in dir, which must exist
// and is left in place by Stop. What was answered before a Kill is there after
// Restart, as redis-server writes the file before it answers.
func AppendOnly(dir string) Option {
	return func(o *options) { o.aofDir = dir }
}

// Password makes the server demand a password of the default user.
func Password(password string) Option {
	return func(o *options) { o.password = password }
}

// commandLine puts the arguments together. The working directory is private:
// redis-server loads a dump it finds there, whoever wrote it.
func (o *options) commandLine(port int, dir string) []string {
	line := []string{"--port", strconv.Itoa(port), "--bind", loopback, "--save", "", "--daemonize", "no"}
	if o.aofDir != "" {
		line = append(line, "--dir", o.aofDir, "--appendonly", "yes")
	} else {
		line = append(line, "--dir", dir, "--appendonly", "no")
	}
	if o.password != "" {
		line = append(line, "--requirepass", o.password)
	}
	return append(line, o.args...)
}
