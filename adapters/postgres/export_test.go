package postgres

// PauseUnderLock has f called between lock and commit of every batch that does
// not take the short way. It is called before Run.
func (s *Store) PauseUnderLock(f func()) { s.writer.pause = f }
