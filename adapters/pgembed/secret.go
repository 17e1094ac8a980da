package pgembed

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"path/filepath"
)

// writeSecret writes what the server keeps of the password into a file that initdb reads, and returns its path. Whoever
// asked for it removes it.
func (s *Server) writeSecret() (string, error) {
	path := filepath.Join(s.folder, "secret.new")
	secret, err := scramSecret(s.password)
	if err == nil {
		err = writeDurably(path, secret+"\n")
	}
	if err == nil {
		err = s.as.own(path) // initdb reads it as the user that the server runs as
	}
	if err != nil {
		return "", fmt.Errorf("secret of the cluster: %w", err)
	}
	return path, nil
}

// scramSecret returns what a server keeps of a password: SCRAM-SHA-256 of RFC 5802 and RFC 7677, as PostgreSQL writes it.
// The password that loadPassword makes up is hashed once, not 4,096 times: the rounds protect what can be guessed, which
// 130 random bits cannot, and cost each connection milliseconds.
func scramSecret(password string) (string, error) {
	rounds := 1
	if len(password) < len(rand.Text()) {
		rounds = 4096
	}
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	keyed := func(text string) []byte {
		mac := hmac.New(sha256.New, salted)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	client, text := sha256.Sum256(keyed("Client Key")), base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", rounds, text(salt), text(client[:]), text(keyed("Server Key"))), nil
}
