package sops

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
)

// opener is the library's cipher, which tells what it has decrypted. Its errors
// do not quote that, nor what should have been encrypted and is not.
type opener struct {
	aes.Cipher
	values *[]Value
}

// Decrypt implements sops.Cipher.
func (o opener) Decrypt(text string, key []byte, path string) (any, error) {
	value, err := o.Cipher.Decrypt(text, key, path)
	if err != nil {
		return nil, fmt.Errorf("%s is not what was encrypted there", place(path))
	}
	if _, truth := value.(bool); truth {
		return value, nil // as which half of all texts could be recognised
	}
	if plain, err := sops.ToBytes(value); err == nil && len(plain) > 0 {
		*o.values = append(*o.values, Value{path, string(plain)})
	}
	return value, nil
}

// standIns is a cipher for which no key is needed. Its value chooses one of two
// stand-ins of each type.
type standIns bool

// Encrypt implements sops.Cipher.
func (standIns) Encrypt(any, []byte, string) (string, error) {
	return "", errors.New("stand-ins are not encrypted")
}

var encrypted = regexp.MustCompile(`^ENC\[AES256_GCM,data:.+,iv:.+,tag:.+,type:(.+)\]`)

// Decrypt implements sops.Cipher. As a string, a stand-in is also base64 and a
// name in Kubernetes.
func (s standIns) Decrypt(text string, _ []byte, path string) (any, error) {
	if text == "" {
		return "", nil
	}
	found := encrypted.FindStringSubmatch(text)
	if found == nil {
		return nil, fmt.Errorf("%s is not encrypted", place(path))
	}
	pair, known := map[string][2]any{
		"str": {"aaaa", "bbbb"}, "int": {1, 2}, "float": {1.5, 2.5}, "bool": {false, true},
		"time":    {time.Unix(0, 0).UTC(), time.Unix(1, 0).UTC()},
		"comment": {sops.Comment{Value: "aaaa"}, sops.Comment{Value: "bbbb"}},
	}[found[1]]
	switch {
	case !known:
		return nil, fmt.Errorf("%s has an unknown type", place(path))
	case bool(s):
		return pair[1], nil
	}
	return pair[0], nil
}

// place names the value at a path, which the library ends with a colon.
func place(path string) string {
	return "the value of " + strings.ReplaceAll(strings.TrimSuffix(path, ":"), ":", ".")
}
