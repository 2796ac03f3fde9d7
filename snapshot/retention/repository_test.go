//go:build real

package retention

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A repository is one of restic's, into which snapshots are written by hand: a
// thousand of them in a second, where restic needs one to make one. What is
// written is what restic's design says (doc/design.rst), and restic reads it.
type repository struct {
	t    *testing.T
	path string
	key  masterKey
	said *strings.Builder // restic's errors
}

// masterKey is what restic cat masterkey tells.
type masterKey struct {
	MAC     struct{ K, R []byte }
	Encrypt []byte
}

func aRepository(t *testing.T) repository {
	r := repository{t: t, path: filepath.Join(t.TempDir(), "repository"), said: &strings.Builder{}}
	r.restic(time.UTC, "init")
	if err := json.Unmarshal(r.restic(time.UTC, "cat", "masterkey"), &r.key); err != nil {
		t.Fatal(err)
	}
	return r
}

// fill replaces the snapshots by so many histories, each of a host of its own.
func (r repository) fill(count int, moments func() []time.Time) map[string][]Backup {
	folder := filepath.Join(r.path, "snapshots")
	if err := os.RemoveAll(folder); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		r.t.Fatal(err)
	}
	histories := map[string][]Backup{}
	for n := range count {
		host := fmt.Sprintf("host-%d", n)
		for _, at := range moments() {
			histories[host] = append(histories[host], Backup{Name: r.write(folder, host, at), At: at})
		}
		slices.SortFunc(histories[host], func(a, b Backup) int { return b.At.Compare(a.At) })
	}
	return histories
}

// write makes a snapshot without content, and returns its ID.
func (r repository) write(folder, host string, at time.Time) string {
	text, err := json.Marshal(map[string]any{"time": at, "tree": strings.Repeat("0", 64), "paths": []string{"/data"}, "hostname": host, "username": "nobody"})
	if err != nil {
		r.t.Fatal(err)
	}
	sealed, err := r.key.seal(text)
	if err != nil {
		r.t.Fatal(err)
	}
	sum := sha256.Sum256(sealed)
	id := hex.EncodeToString(sum[:])
	if err := os.WriteFile(filepath.Join(folder, id), sealed, 0o600); err != nil {
		r.t.Fatal(err)
	}
	return id
}

// seal encrypts by AES-256 in counter mode, with the nonce in front and the
// Poly1305-AES of the rest behind.
func (k masterKey) seal(text []byte) ([]byte, error) {
	encrypt, err := aes.NewCipher(k.Encrypt)
	if err != nil {
		return nil, err
	}
	authenticate, err := aes.NewCipher(k.MAC.K)
	if err != nil {
		return nil, err
	}
	nonce, pad, sealed := make([]byte, aes.BlockSize), make([]byte, aes.BlockSize), make([]byte, len(text))
	rand.Read(nonce)
	cipher.NewCTR(encrypt, nonce).XORKeyStream(sealed, text)
	authenticate.Encrypt(pad, nonce)
	return slices.Concat(nonce, sealed, poly1305(k.MAC.R, pad, sealed)), nil
}

// poly1305 is a message's polynomial at r modulo 2^130-5, plus a pad; all numbers
// begin with their lowest byte.
func poly1305(r, pad, message []byte) []byte {
	prime := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 130), big.NewInt(5))
	point, sum := little(clamped(r)), new(big.Int)
	for block := range slices.Chunk(message, 16) {
		sum.Add(sum, little(append(slices.Clone(block), 1)))
		sum.Mod(sum.Mul(sum, point), prime)
	}
	sum.Add(sum, little(pad))
	tag := sum.FillBytes(make([]byte, 20)) // beyond 2^128 is left out
	slices.Reverse(tag)
	return tag[:16]
}

func little(number []byte) *big.Int {
	number = slices.Clone(number)
	slices.Reverse(number)
	return new(big.Int).SetBytes(number)
}

// clamped has the bits cleared that Poly1305's point has not.
func clamped(r []byte) []byte {
	r = slices.Clone(r)
	for _, i := range []int{3, 7, 11, 15} {
		r[i] &= 15
	}
	for _, i := range []int{4, 8, 12} {
		r[i] &= 252
	}
	return r
}
