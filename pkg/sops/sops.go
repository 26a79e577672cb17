// Package sops decrypts SOPS documents in memory with age and PGP keys, as
// kustomize-controller does: the document's MAC is not verified, as other hands
// have added to most manifests by then.
package sops

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	"github.com/getsops/sops/v3/cmd/sops/common"
	"github.com/getsops/sops/v3/cmd/sops/formats"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/logging"
)

// The library's log quotes comments, which may have been encrypted.
func init() {
	for _, logger := range logging.Loggers {
		logger.SetOutput(io.Discard)
	}
}

// Format is how a document is written.
type Format formats.Format

// The formats of which the controller chooses one itself.
const (
	Binary = Format(formats.Binary)
	Dotenv = Format(formats.Dotenv)
	JSON   = Format(formats.Json)
)

var names = map[Format]string{Binary: "binary", Dotenv: "dotenv", Format(formats.Ini): "INI", JSON: "JSON", Format(formats.Yaml): "YAML"}

// marks are what the controller takes for the sign of an encrypted document. A
// binary one is an envelope in JSON.
var marks = map[Format]string{
	Binary: `"mac": "ENC[`, Dotenv: "sops_mac=ENC[", Format(formats.Ini): "[sops]", JSON: `"mac": "ENC[`, Format(formats.Yaml): "mac: ENC[",
}

// MaxFileSize is how many bytes a file may have for the controller to look
// into it.
const MaxFileSize = 5 << 20

// FormatOf returns the format of what has that name, be it a file or a key of a
// Secret.
func FormatOf(name string) Format {
	if strings.HasSuffix(name, ".dockerconfigjson") {
		return JSON
	}
	return Format(formats.FormatForPath(name))
}

func (f Format) String() string { return names[f] }

// Marks says whether data bears the mark of an encrypted document in the format.
func (f Format) Marks(data []byte) bool { return bytes.Contains(data, []byte(marks[f])) }

// Detect returns the format whose mark data bears, or false if it has none.
func Detect(data []byte) (Format, bool) {
	for _, f := range []formats.Format{formats.Json, formats.Dotenv, formats.Yaml, formats.Ini} {
		if Format(f).Marks(data) {
			return Format(f), true
		}
	}
	return 0, false
}

// store reads and writes a format.
func (f Format) store() common.Store {
	return common.StoreForFormat(formats.Format(f), config.NewStoresConfig())
}

// Value is one that was encrypted.
type Value struct {
	// Path is where in the document it stood, as keys that end with a colon.
	Path string
	Text string
}

// Decrypt returns the document in plain text, written in the format out, and
// the values that were encrypted, for whoever has to hide them; truth values
// are not among them. If no key fits, the error is a *NoKeyError. No error
// quotes a value.
func Decrypt(data []byte, in, out Format, keys *Keys) (plain []byte, values []Value, err error) {
	plain, err = rewrite(data, in, out, func(m *sops.Metadata) ([]byte, sops.Cipher, error) {
		key, err := keys.dataKey(m)
		return key, opener{aes.NewCipher(), &values}, err
	})
	return plain, values, err
}

// StandIns returns the document with something else of the same type in the
// place of each encrypted value, written in the format out. Which of two it is
// follows from other: what differs between the two hangs on what is encrypted.
func StandIns(data []byte, in, out Format, other bool) ([]byte, error) {
	return rewrite(data, in, out, func(*sops.Metadata) ([]byte, sops.Cipher, error) { return nil, standIns(other), nil })
}

func rewrite(data []byte, in, out Format, with func(*sops.Metadata) ([]byte, sops.Cipher, error)) (plain []byte, err error) {
	defer func() {
		// The stores panic when a document does not fit the format.
		if recover() != nil {
			plain, err = nil, fmt.Errorf("failed to emit encrypted %s file as decrypted %s", in, out)
		}
	}()
	tree, err := in.store().LoadEncryptedFile(data)
	if err != nil {
		return nil, fmt.Errorf("failed to load encrypted %s data: %w", in, err)
	}
	key, cipher, err := with(&tree.Metadata)
	if err != nil {
		return nil, fmt.Errorf("cannot get sops data key: %w", err)
	}
	if _, err := tree.Decrypt(key, cipher); err != nil {
		return nil, fmt.Errorf("error decrypting sops tree: %w", err)
	}
	if plain, err = out.store().EmitPlainFile(tree.Branches); err != nil {
		return nil, fmt.Errorf("failed to emit encrypted %s file as decrypted %s: %w", in, out, err)
	}
	return plain, nil
}
