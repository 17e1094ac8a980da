package engine

// Working reports whether a build works in turn.
func (e *Engine) Working() bool { return len(e.turn) > 0 }
