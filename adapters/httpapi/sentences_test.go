package httpapi

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSentencesHaveTheRightPlurals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tag             string
		waiting, coming int
		wait            time.Duration
		text            string
	}{
		{"en", 1, 0, 61 * time.Minute, "1 person is waiting for Dr. X. Expected wait: 1 hour 1 minute."},
		{"en", 2, 1, 2 * time.Hour, "2 people are waiting for Dr. X. Expected wait: 2 hours. 1 more person is booked and still to come."},
		{"en", 0, 3, 0, "0 people are waiting for Dr. X. Expected wait: less than a minute. 3 more people are booked and still to come."},
		{"ko", 3, 4, 80 * time.Minute, "Dr. X 대기 인원: 3명. 예상 대기 시간: 1시간 20분. 아직 오지 않은 예약 환자: 4명."},
		{"pt", 1, 2, 80 * time.Minute, "1 pessoa espera por Dr. X. Espera prevista: 1 hora e 20 minutos. Ainda há 2 pessoas marcadas por chegar."},
		{"pt", 3, 0, time.Minute, "3 pessoas esperam por Dr. X. Espera prevista: 1 minuto."},
		{"ru", 1, 1, 81 * time.Minute, "В очереди к Dr. X: 1 человек. Ожидаемое время: 1 час 21 минута. По записи ещё придёт 1 человек."},
		{"ru", 3, 22, 142 * time.Minute, "В очереди к Dr. X: 3 человека. Ожидаемое время: 2 часа 22 минуты. По записи ещё придут 22 человека."},
		{"ru", 11, 12, 311 * time.Minute, "В очереди к Dr. X: 11 человек. Ожидаемое время: 5 часов 11 минут. По записи ещё придут 12 человек."},
		{"ru", 21, 0, 21 * time.Hour, "В очереди к Dr. X: 21 человек. Ожидаемое время: 21 час."},
	} {
		require.Equal(t, c.text, sentences(c.tag, "Dr. X", c.waiting, c.coming, c.wait, true))
	}
}

func TestTheLanguageIsOneThatTheReaderLikes(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]string{
		"": "en", "pt-BR": "pt", "ko-KR, en": "ko", "de": "en", "de, ru;q=0.3": "ru", "nonsense;;": "en",
	} {
		require.Equal(t, want, Spoken{Accept: accept}.language(), accept)
	}
}
