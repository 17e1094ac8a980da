package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/slotbook/slotbook/projections/engine"
)

// progress tells on the error output how far builds are: by a bar on a terminal,
// by a line now and then elsewhere, and by one JSON object per line for machines.
type progress struct {
	w      io.Writer
	json   bool
	models int                      // how many there will be, one after the other or at once
	bar    *progressbar.ProgressBar // nil where there is no terminal
	began  time.Time
	mu     sync.Mutex
	at     map[string]engine.Progress
	events int
	told   time.Time
}

// tellEvery is how often a line is written where there is no bar.
const tellEvery = 2 * time.Second

func newProgress(w io.Writer, what string, asJSON bool, models int) *progress {
	p := &progress{w: w, json: asJSON, models: models, began: time.Now(), at: map[string]engine.Progress{}}
	if file, ok := w.(*os.File); ok && !asJSON && term.IsTerminal(int(file.Fd())) { //nolint:gosec // a descriptor fits
		p.bar = progressbar.NewOptions64(1, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"),
			progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return p
}

// told is how far everything is together.
type told struct {
	Position uint64  `json:"position"`
	Target   uint64  `json:"target"`
	Percent  float64 `json:"percent"`
	Rate     int     `json:"eventsPerSecond"`
	ETA      string  `json:"eta,omitempty"` // how long it will take still
	Waiting  bool    `json:"waiting,omitempty"`
}

// tell takes how far one build is. Builds call it at once.
func (p *progress) tell(news engine.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if news.Waiting {
		news.Target = p.at[news.Model].Target
	}
	p.at[news.Model] = news
	p.events += news.Events
	now := p.sum()
	if p.bar != nil {
		p.bar.ChangeMax64(int64(now.Target)) //nolint:gosec // positions fit
		_ = p.bar.Set64(int64(now.Position)) //nolint:gosec // positions fit; a bar is no reason to stop
		return
	}
	if time.Since(p.told) < tellEvery && now.Position < now.Target {
		return
	}
	p.told = time.Now()
	if p.json {
		_ = json.NewEncoder(p.w).Encode(now) // nobody to tell
		return
	}
	text := fmt.Sprintf("%5.1f %%  %d of %d  %d events/s", now.Percent, now.Position, now.Target, now.Rate)
	if now.ETA != "" {
		text += "  " + now.ETA + " left"
	}
	if now.Waiting {
		text += "  (waiting for live read models)"
	}
	_, _ = fmt.Fprintln(p.w, text) // nobody to tell
}

func (p *progress) sum() told {
	var t told
	var one uint64 // what a build that has not begun will have to do
	for _, m := range p.at {
		t.Position += uint64(m.Position)
		t.Target += uint64(m.Target)
		t.Waiting = t.Waiting || m.Waiting
		one = max(one, uint64(m.Target))
	}
	t.Target += one * uint64(max(0, p.models-len(p.at))) //nolint:gosec // not negative
	took := time.Since(p.began)
	t.Rate = int(float64(p.events) / max(took.Seconds(), 1e-3))
	if t.Target > 0 {
		t.Percent = 100 * float64(t.Position) / float64(t.Target)
	}
	if t.Position > 0 && t.Position < t.Target {
		t.ETA = time.Duration(float64(took) * float64(t.Target-t.Position) / float64(t.Position)).Round(time.Second).String()
	}
	return t
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish() // a bar is no reason to stop
	}
}
