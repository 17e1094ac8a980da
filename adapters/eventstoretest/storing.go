package eventstoretest

import (
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/stretchr/testify/require"
)

// storing are the promises about what is stored and what is refused.
func storing() []contractCase {
	return []contractCase{
		{name: "sealed", promise: "personal text is stored sealed, opens again, and resends the same", check: func(s *subject) {
			const reason = "Rückenschmerzen \x00 seit Mai" // sealed text may hold anything
			stream := appointment.Stream(domain.AppointmentID(newID()))
			sending := write(stream, domain.NoStream, proposed("p1", reason))
			position := s.append(sending)
			require.Equal(s, position, s.append(sending), "sealing again gives the same bytes")
			loaded := s.load(stream)
			require.Len(s, loaded, 1)
			stored, ok := loaded[0].Event.(appointment.WasProposed)
			require.True(s, ok)
			require.Empty(s, stored.Reason.Text)
			require.NotContains(s, stored.Reason.Box, "Rücken")
			text, err := s.codec.Open(s.ctx, stored.Reason)
			require.NoError(s, err)
			require.Equal(s, reason, text)
		}},
		{name: "text", promise: "every valid text is stored as it is, also the look of an escape", check: func(s *subject) {
			for _, text := range []string{"Grüße, 한글 🎈", `\u0000`, `\\u0000`, "\ufffd", "\u2028<&>\"\\\n\x1f", ""} {
				stream, e := s.stream(), event(1)
				e.Event = slot.Resized{Terms: slot.Terms{Slot: domain.SlotID(text)}, Places: 1}
				e.Metadata.Actor = text
				s.append(write(stream, domain.NoStream, e))
				loaded := s.load(stream)
				require.Len(s, loaded, 1)
				require.Equal(s, e.Event, loaded[0].Event)
				require.Equal(s, e.Metadata, loaded[0].Metadata)
			}
		}},
		{name: "unstorable", promise: "text that is not UTF-8 or holds U+0000 is refused, and nothing is stored", check: func(s *subject) {
			for _, text := range []string{"\x00", "a\\\x00", "\xff", "\xc3("} {
				data, metadata := event(1), event(1)
				data.Event = slot.Resized{Terms: slot.Terms{Slot: domain.SlotID(text)}}
				metadata.Metadata.Actor = text
				for _, w := range []commands.Write{
					write(s.stream(), domain.NoStream, event(1), data),
					write(s.stream(), domain.NoStream, metadata),
					write(domain.Stream("slot", text), domain.NoStream, event(1)),
					write(domain.Stream("slot", text), domain.NoStream),
				} {
					_, err := s.store.Append(s.ctx, w)
					require.ErrorIs(s, err, commands.ErrUnstorable, "%q", text)
				}
			}
			require.Zero(s, s.head())
		}},
		{name: "limits", promise: "500 events and 1 MiB are taken; one event or the bytes more are refused, and nothing is stored", check: func(s *subject) {
			stream := s.stream()
			many := make([]commands.NewEvent, commands.MaxAppendEvents+1)
			for i := range many {
				many[i] = event(i)
			}
			_, err := s.store.Append(s.ctx, write(stream, domain.NoStream, many...))
			require.ErrorIs(s, err, commands.ErrTooLarge)
			s.append(write(stream, domain.NoStream, many[1:]...))
			require.Len(s, s.load(stream), commands.MaxAppendEvents)

			big := event(1)
			big.Event = slot.Resized{Terms: slot.Terms{Slot: domain.SlotID(long(commands.MaxAppendBytes))}}
			_, err = s.store.Append(s.ctx, write(s.stream(), domain.NoStream, big))
			require.ErrorIs(s, err, commands.ErrTooLarge)
			big.Event = slot.Resized{Terms: slot.Terms{Slot: domain.SlotID(long(commands.MaxAppendBytes - 1000))}}
			s.append(write(s.stream(), domain.NoStream, big))
		}},
	}
}
