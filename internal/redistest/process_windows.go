package redistest

import "errors"

var errNoPause = errors.New("redistest: a process cannot be paused on Windows")

func (p *process) pause() error  { return errNoPause }
func (p *process) resume() error { return errNoPause }
