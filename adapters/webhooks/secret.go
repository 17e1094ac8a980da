package webhooks

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/slotbook/slotbook/reactions"
)

func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("the key of secrets has %d bytes instead of 32", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// newSecret makes a secret of a webhook, and returns it as its receiver gets it
// and as it is stored: nonce and ciphertext, bound to the webhook.
func (w *Webhooks) newSecret(webhook string) (reactions.WebhookSecret, []byte) {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	nonce := make([]byte, w.secrets.NonceSize())
	_, _ = rand.Read(nonce)
	return reactions.WebhookSecret("whsec_" + base64.StdEncoding.EncodeToString(secret[:])), w.secrets.Seal(nonce, nonce, secret[:], []byte(webhook))
}

func (w *Webhooks) openSecret(webhook string, sealed []byte) ([]byte, error) {
	n := w.secrets.NonceSize()
	if len(sealed) < n {
		return nil, errors.New("the secret of a webhook is damaged")
	}
	secret, err := w.secrets.Open(nil, sealed[:n], sealed[n:], []byte(webhook))
	if err != nil {
		return nil, errors.New("the secret of a webhook is damaged, or was sealed under another master key: rotate it")
	}
	return secret, nil
}

// sign puts the headers of Standard Webhooks on a request, with a signature by
// each secret.
func sign(h http.Header, id string, at time.Time, body []byte, secrets [][]byte) error {
	signatures := make([]string, len(secrets))
	for i, secret := range secrets {
		signer, err := standardwebhooks.NewWebhookRaw(secret)
		if err == nil {
			signatures[i], err = signer.Sign(id, at, body)
		}
		if err != nil {
			return err
		}
	}
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	h.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return nil
}
