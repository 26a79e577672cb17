package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxFileSize bounds what Decode reads.
const maxFileSize = 256 << 20

// Request is what was asked for when the plan was made, as it was typed. A plan
// that is saved holds it, so that it can be made again.
type Request struct {
	// Dir is the working directory, from which relative paths start.
	Dir          string   `json:"dir"`
	Namespace    string   `json:"namespace"`
	Filenames    []string `json:"filenames"`
	Recursive    bool     `json:"recursive,omitempty"`
	Recurse      bool     `json:"recurse"`
	Names        []string `json:"names,omitempty"`
	LocalSources []string `json:"localSources,omitempty"`
	Replace      []string `json:"replace,omitempty"`
}

// Encode writes the plan as JSON.
func Encode(w io.Writer, p *Plan) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(p)
}

// Save writes the plan to a file that only its owner may read. The file is
// there as a whole or not at all.
func Save(file string, p *Plan) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(file), ".fluxjob-plan-*") // with mode 0600
	if err != nil {
		return fmt.Errorf("save the plan: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary.Name())
		}
	}()
	err = Encode(temporary, p)
	if closeErr := temporary.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temporary.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("save the plan to %s: %w", file, err)
	}
	return nil
}

// Load reads a plan that Save wrote.
func Load(file string) (*Plan, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read the saved plan: %w", err)
	}
	defer func() { _ = f.Close() }()
	p, err := Decode(f)
	if err != nil {
		return nil, fmt.Errorf("read the saved plan %s: %w", file, err)
	}
	return p, nil
}

// Decode reads a plan in the form of Encode. It is an error if it is no plan, if
// it is of another version of the format, if its steps are not those that its
// digest was made of, or if it breaks an invariant. Fields that are not known
// are passed over.
func Decode(r io.Reader) (*Plan, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("it is larger than %d MiB", maxFileSize>>20)
	}
	var form struct {
		APIVersion string          `json:"apiVersion"`
		Kind       string          `json:"kind"`
		Steps      json.RawMessage `json:"steps"`
	}
	if err := json.Unmarshal(data, &form); err != nil {
		return nil, fmt.Errorf("it is no plan: %w", err)
	}
	group, _, _ := strings.Cut(APIVersion, "/")
	switch {
	case form.Kind != Kind || !strings.HasPrefix(form.APIVersion, group+"/"):
		return nil, errors.New("it is no plan of kubectl fluxjob: make one with plan --out")
	case form.APIVersion != APIVersion:
		return nil, fmt.Errorf("its format is %s, this version reads %s: make the plan again", form.APIVersion, APIVersion)
	}
	p := &Plan{}
	if err := json.Unmarshal(data, p); err != nil {
		return nil, fmt.Errorf("it is no plan: %w", err)
	}
	// The digest is of the steps as they stand: an older version knew fewer fields.
	var steps bytes.Buffer
	if err := json.Compact(&steps, form.Steps); err != nil {
		return nil, fmt.Errorf("it has no steps: %w", err)
	}
	if digest(steps.Bytes()) != p.Digest {
		return nil, errors.New("its steps are not those that it was made with: make the plan again")
	}
	return p, p.Validate()
}
