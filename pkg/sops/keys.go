package sops

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/keyservice"
)

// Keys are private keys. Without an age identity among them, the user's own are
// taken from where the command sops finds them. Keys may be read concurrently.
type Keys struct {
	age age.ParsedIdentities
	pgp openpgp.EntityList
}

// HasAge says whether there is any age identity.
func (k *Keys) HasAge() bool { return len(k.age) > 0 }

// AddAge adds the age identities of a key file. The error does not quote it.
func (k *Keys) AddAge(text string) error {
	if k.age.Import(text) != nil {
		return errors.New("failed to parse and add to age identities: a line is neither an identity nor a comment")
	}
	return nil
}

// AddPGP adds the keys of an armored or binary PGP key file. A private key that
// needs a passphrase cannot be used.
func (k *Keys) AddPGP(data []byte) error {
	if block, err := armor.Decode(bytes.NewReader(data)); err == nil {
		if data, err = io.ReadAll(block.Body); err != nil {
			return fmt.Errorf("failed to import armored key data: %w", err)
		}
	}
	entities, err := openpgp.ReadKeyRing(bufio.NewReader(bytes.NewReader(data)))
	if err != nil {
		return fmt.Errorf("failed to import armored key data: %w", err)
	}
	k.pgp = append(k.pgp, entities...)
	return nil
}

// Recipient is one for whom a document is encrypted.
type Recipient struct {
	// Kind is age, pgp, or the name of a key management service.
	Kind string
	// ID is the public key, the fingerprint or the name of the key.
	ID string
}

// NoKeyError says that too few of the recipients' keys are there.
type NoKeyError struct{ Recipients []Recipient }

func (e *NoKeyError) Error() string { return "no key for " + e.Names() }

// Names lists the recipients.
func (e *NoKeyError) Names() string {
	names := make([]string, len(e.Recipients))
	for i, r := range e.Recipients {
		names[i] = r.Kind + " " + r.ID
	}
	return strings.Join(names, ", ")
}

// dataKey decrypts the key with which the values are encrypted.
func (k *Keys) dataKey(m *sops.Metadata) ([]byte, error) {
	service := keyservice.NewCustomLocalClient(inMemory{k})
	key, err := m.GetDataKeyWithKeyServices([]keyservice.KeyServiceClient{service}, sops.DefaultDecryptionOrder)
	if err == nil {
		return key, nil
	}
	failed := &NoKeyError{}
	for _, group := range m.KeyGroups {
		for _, key := range group {
			failed.Recipients = append(failed.Recipients, Recipient{key.TypeToIdentifier(), key.ToString()})
		}
	}
	return nil, failed // the cause tells of each recipient where no key was found
}

// inMemory is a key service that asks nobody else. The library's own has PGP
// keys in a folder, and those of the user at hand.
type inMemory struct{ keys *Keys }

// Encrypt implements keyservice.KeyServiceServer.
func (inMemory) Encrypt(context.Context, *keyservice.EncryptRequest) (*keyservice.EncryptResponse, error) {
	return nil, errors.New("nothing is encrypted here")
}

// Decrypt implements keyservice.KeyServiceServer.
func (s inMemory) Decrypt(_ context.Context, r *keyservice.DecryptRequest) (response *keyservice.DecryptResponse, err error) {
	response = &keyservice.DecryptResponse{}
	switch {
	case r.Key.GetAgeKey() != nil:
		key := age.MasterKey{Recipient: r.Key.GetAgeKey().Recipient, EncryptedKey: string(r.Ciphertext)}
		s.keys.age.ApplyToMasterKey(&key)
		response.Plaintext, err = key.Decrypt()
	case r.Key.GetPgpKey() != nil:
		response.Plaintext, err = s.keys.openPGP(r.Ciphertext)
	default:
		err = errors.New("only age and PGP keys can be used")
	}
	return response, err
}

func (k *Keys) openPGP(text []byte) ([]byte, error) {
	block, err := armor.Decode(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	message, err := openpgp.ReadMessage(block.Body, k.pgp, nil, nil)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(message.UnverifiedBody) // at its end its integrity is proven
}
