package sops_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/fluxjob/kubectl-fluxjob/pkg/sops"
)

// The documents of testdata were encrypted for the keys beside them, which are
// good for nothing else.

func TestMain(m *testing.M) {
	// The user's own keys have no part in the tests.
	home, err := os.MkdirTemp("", "sops")
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME"} {
		err = errors.Join(err, os.Setenv(name, home))
	}
	for _, name := range []string{"SOPS_AGE_KEY", "SOPS_AGE_KEY_FILE", "SOPS_AGE_KEY_CMD", "SOPS_AGE_SSH_PRIVATE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_CMD"} {
		err = errors.Join(err, os.Unsetenv(name))
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(home)
	os.Exit(code)
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// keys reads key files of testdata.
func keys(t *testing.T, names ...string) *sops.Keys {
	t.Helper()
	k := &sops.Keys{}
	for _, name := range names {
		var err error
		if filepath.Ext(name) == ".asc" {
			err = k.AddPGP(read(t, name))
		} else {
			err = k.AddAge(string(read(t, name)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return k
}

const (
	ageKey   = "test-key.agekey"
	otherKey = "other-test-key.agekey"
	pgpKey   = "test-key.asc"
)

func decrypt(t *testing.T, file string, k *sops.Keys) (string, []sops.Value, error) {
	t.Helper()
	format := sops.FormatOf(file)
	plain, values, err := sops.Decrypt(read(t, file), format, format, k)
	return string(plain), values, err
}

func TestADocumentIsDecryptedAndItsValuesAreTold(t *testing.T) {
	plain, values, err := decrypt(t, "every.yaml", keys(t, ageKey))
	if err != nil {
		t.Fatal(err)
	}
	const want = `# the shop's password
password: hunter2-hunter2
port: 5432
ratio: 1.5
enabled: true
since: 2026-01-02T03:04:05Z
none: null
empty: ""
users:
    - admin
    - deep:
        # inline
        er: guest
name_unencrypted: shop
`
	if d := gocmp.Diff(want, plain); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	wantValues := []sops.Value{
		{Path: ":", Text: " the shop's password"},
		{Path: "password:", Text: "hunter2-hunter2"},
		{Path: "port:", Text: "5432"},
		{Path: "ratio:", Text: "1.5"},
		{Path: "since:", Text: "2026-01-02T03:04:05Z"},
		{Path: "users:", Text: "admin"},
		{Path: "users:deep:", Text: " inline"},
		{Path: "users:deep:er:", Text: "guest"},
	}
	if d := gocmp.Diff(wantValues, values); d != "" {
		t.Errorf("values (-want +got):\n%s", d)
	}
}

func TestStandInsShowWhatIsEncrypted(t *testing.T) {
	const one = `#aaaa
password: aaaa
port: 1
ratio: 1.5
enabled: false
since: 1970-01-01T00:00:00Z
none: null
empty: ""
users:
    - aaaa
    - deep:
        #aaaa
        er: aaaa
name_unencrypted: shop
`
	two := strings.NewReplacer("aaaa", "bbbb", ": 1\n", ": 2\n", "1.5", "2.5", "false", "true", ":00Z", ":01Z").Replace(one)
	for other, want := range map[bool]string{false: one, true: two} {
		yaml := sops.FormatOf("every.yaml")
		got, err := sops.StandIns(read(t, "every.yaml"), yaml, yaml, other)
		if err != nil {
			t.Fatal(err)
		}
		if d := gocmp.Diff(want, string(got)); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
}

func TestTheKeyThatFitsIsFound(t *testing.T) {
	age := sops.Recipient{Kind: "age", ID: "age1a4lzkj70fa2q7pjdj7ercwckvwrqw0suj3hcak7jejv4juppsggq0kutdu"}
	pgp := sops.Recipient{Kind: "pgp", ID: "E169FCA8E24FA071CF2B21F5A4378127D99762C8"}
	tests := []struct {
		name, file string
		keys       []string
		lacks      []sops.Recipient
	}{
		{"one of two age keys", "every.yaml", []string{otherKey, ageKey}, nil},
		{"a PGP key", "pgp.yaml", []string{pgpKey}, nil},
		{"both keys of a split one", "groups.txt", []string{ageKey, pgpKey}, nil},
		{"one key of a split one", "groups.txt", []string{ageKey}, []sops.Recipient{age, pgp}},
		{"no key at all", "every.yaml", nil, []sops.Recipient{age}},
		{"another age key", "every.yaml", []string{otherKey}, []sops.Recipient{age}},
		{"no PGP key", "pgp.yaml", []string{ageKey}, []sops.Recipient{pgp}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plain, _, err := decrypt(t, tt.file, keys(t, tt.keys...))
			noKey, is := errors.AsType[*sops.NoKeyError](err)
			switch {
			case tt.lacks == nil && (err != nil || plain == ""):
				t.Errorf("got %q and error %v", plain, err)
			case tt.lacks != nil && !is:
				t.Errorf("got error %v, want a NoKeyError", err)
			case is:
				if d := gocmp.Diff(tt.lacks, noKey.Recipients); d != "" {
					t.Errorf("(-want +got):\n%s", d)
				}
			}
		})
	}
}

func TestTheUsersKeysAreTakenWithoutOthers(t *testing.T) {
	file, err := filepath.Abs(filepath.Join("testdata", ageKey))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOPS_AGE_KEY_FILE", file)
	if _, _, err := decrypt(t, "every.yaml", &sops.Keys{}); err != nil {
		t.Errorf("without a key: %v", err)
	}
	if _, _, err := decrypt(t, "every.yaml", keys(t, otherKey)); err == nil {
		t.Error("beside another age key: no error")
	}
}

// An error may be printed: it must not quote what is secret, or was to be.
func TestErrorsDoNotQuoteValues(t *testing.T) {
	const secret = "hunter2-hunter2"
	tests := []struct{ name, old, new, want string }{
		{"a value moved to another key", "password:", "passphrase:", "error decrypting sops tree: Error walking tree: Could not decrypt value: the value of passphrase is not what was encrypted there"},
		{"a value that is not encrypted", "password: ENC[", "password: " + secret + "[", "error decrypting sops tree: Error walking tree: Could not decrypt value: the value of password is not what was encrypted there"},
		{"a text for a number", ",type:str]", ",type:int]", "error decrypting sops tree: Error walking tree: Could not decrypt value: the value of password is not what was encrypted there"},
		{"no metadata", "\nsops:", "\nsoap:", "failed to load encrypted YAML data: sops metadata not found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			was := string(read(t, "every.yaml"))
			data := strings.Replace(was, tt.old, tt.new, 1)
			if data == was {
				t.Fatalf("%q is not there", tt.old)
			}
			yaml := sops.FormatOf("every.yaml")
			_, _, err := sops.Decrypt([]byte(data), yaml, yaml, keys(t, ageKey))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestADocumentThatFitsNoFormatIsAnError(t *testing.T) {
	yaml := sops.FormatOf("every.yaml")
	for _, out := range []sops.Format{sops.Binary, sops.Dotenv, sops.FormatOf("a.ini")} {
		if plain, _, err := sops.Decrypt(read(t, "every.yaml"), yaml, out, keys(t, ageKey)); err == nil {
			t.Errorf("%s: got %q", out, plain)
		}
	}
}

func TestKeyFiles(t *testing.T) {
	identity := strings.TrimSpace(strings.Split(string(read(t, ageKey)), "\n")[3])
	tests := []struct {
		name, text string
		fails      bool
	}{
		{"comments and blank lines", "# one\n\n" + identity + "\n", false},
		{"another word", "\nhunter2", true},
		{"a broken identity", identity[:len(identity)-1], true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := &sops.Keys{}
			err := k.AddAge(tt.text)
			if (err != nil) != tt.fails || k.HasAge() == tt.fails {
				t.Errorf("got error %v, and an identity: %t", err, k.HasAge())
			}
			if err != nil && strings.Contains(err.Error(), strings.TrimSpace(tt.text)) {
				t.Errorf("the error quotes the key: %v", err)
			}
		})
	}
	if err := (&sops.Keys{}).AddPGP([]byte("no key")); err == nil {
		t.Error("no error for what is no PGP key")
	}
}

func TestFormats(t *testing.T) {
	for name, want := range map[string]string{
		"a/b.yaml": "YAML", "b.yml": "YAML", "b.json": "JSON", ".dockerconfigjson": "JSON", ".env": "dotenv", "my.ini": "INI", "token": "binary",
	} {
		if got := sops.FormatOf(name); got.String() != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	for file, want := range map[string]string{"every.yaml": "YAML", "groups.txt": "JSON", ageKey: ""} {
		got, found := sops.Detect(read(t, file))
		if found != (want != "") || found && got.String() != want {
			t.Errorf("%s: detected %s (%t), want %q", file, got, found, want)
		}
	}
}
