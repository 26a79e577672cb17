package render

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/ssa/utils"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	kustypes "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"github.com/fluxjob/kubectl-fluxjob/pkg/manifest"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/sops"
)

const decryptAnnotation = "kustomize.toolkit.fluxcd.io/decrypt"

// ErrEncrypted says that something hangs on values that could not be decrypted.
var ErrEncrypted = errors.New("it hangs on what could not be decrypted")

// decryptor decrypts what one Kustomization renders, as the controller's does.
// Where only the controller may have the key, stand-ins take the place of what
// is encrypted.
type decryptor struct {
	// keys is nil if the Kustomization decrypts nothing.
	keys *sops.Keys
	// secret is the Secret with the keys, "" if there is none, and unread says
	// why it could not be read.
	secret string
	unread error
	// other chooses among two sets of stand-ins.
	other bool

	secrets []string
	missing []missing
}

// missing is something that could not be decrypted: a part of an object, which
// is named as utils.FmtUnstructured does, or a file.
type missing struct{ object, part, advice string }

// whole is the part of an object that is all of it.
const whole = "it"

func (m missing) String() string {
	switch {
	case m.object == "":
		return m.part + m.advice
	case m.part == whole:
		return m.object + m.advice
	}
	return m.part + " of " + m.object + m.advice
}

// decryptor returns the one for the Kustomization, with the keys of the Secret
// that it names.
func (r *Renderer) decryptor(ctx context.Context, k *manifest.Kustomization) (*decryptor, error) {
	d := &decryptor{}
	if k.Spec.Decryption == nil || k.Spec.Decryption.Provider != "sops" {
		return d, nil
	}
	d.keys = &sops.Keys{}
	if k.Spec.Decryption.SecretRef == nil {
		return d, nil
	}
	key := object.Key{Namespace: k.Namespace, Name: k.Spec.Decryption.SecretRef.Name}
	d.secret = key.String()
	data, err := r.Vars.Data(ctx, "Secret", key)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("the keys of spec.decryption.secretRef: %w in namespace %q: create it there", err, k.Namespace)
	}
	d.unread = err
	return d, d.load(data)
}

func (d *decryptor) load(data map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(data)) {
		var err error
		switch filepath.Ext(name) {
		case ".agekey":
			err = d.keys.AddAge(data[name])
		case ".asc":
			err = d.keys.AddPGP([]byte(data[name]))
		}
		if err != nil {
			return fmt.Errorf("failed to import '%s' data from sops decryption Secret '%s': %w", name, d.secret, err)
		}
	}
	return nil
}

// decrypt returns the document in plain text, or with stand-ins.
func (d *decryptor) decrypt(what missing, data []byte, in, out sops.Format) (plain []byte, values []sops.Value, err error) {
	plain, values, err = sops.Decrypt(data, in, out, d.keys)
	if noKey, is := errors.AsType[*sops.NoKeyError](err); is && !d.final(noKey) {
		what.advice = d.advice(noKey)
		d.missing = append(d.missing, what)
		plain, err = sops.StandIns(data, in, out, d.other)
		return plain, nil, err
	}
	return plain, values, err
}

// hide keeps a value that may come to stand in any object, encoded or not.
func (d *decryptor) hide(value string) {
	d.secrets = append(d.secrets, value, base64.StdEncoding.EncodeToString([]byte(value)))
}

// final says whether the controller has no key either: it has the keys of the
// Secret and, without an age identity among them, its own; and it may be
// allowed to use a key management service.
func (d *decryptor) final(e *sops.NoKeyError) bool {
	return d.unread == nil && !slices.ContainsFunc(e.Recipients, func(r sops.Recipient) bool {
		return r.Kind != "pgp" && (r.Kind != "age" || !d.keys.HasAge())
	})
}

// advice says why there is no key, and what to do about it.
func (d *decryptor) advice(e *sops.NoKeyError) string {
	text := " is encrypted with SOPS to " + e.Names()
	users := !d.keys.HasAge() && slices.ContainsFunc(e.Recipients, func(r sops.Recipient) bool { return r.Kind == "age" })
	switch {
	case d.unread != nil && users:
		text += fmt.Sprintf(", and the keys cannot be read (%s): ask for the right to read Secret %s, or set SOPS_AGE_KEY or SOPS_AGE_KEY_FILE", d.unread, d.secret)
	case d.unread != nil:
		text += fmt.Sprintf(", and the keys cannot be read (%s): ask for the right to read Secret %s", d.unread, d.secret)
	case users:
		text += ", and there is no key for that: set SOPS_AGE_KEY or SOPS_AGE_KEY_FILE"
	default:
		text += ", but only age and PGP keys can be used here"
	}
	return text
}

// sources decrypts the files that the kustomization.yaml of dir and those that
// it leads to name for Secrets and patches, and lays them over the tree.
func (d *decryptor) sources(tree overlay, root, dir string) error {
	if d.keys == nil {
		return nil
	}
	s := sources{decryptor: d, tree: tree, root: root, seen: map[string]bool{}}
	if err := s.visit(dir); err != nil {
		return fmt.Errorf("error decrypting sources: %w", err)
	}
	return nil
}

// sources is a walk over the kustomization.yaml files of a tree.
type sources struct {
	*decryptor
	tree overlay
	root string
	seen map[string]bool
}

func (s sources) visit(dir string) error {
	if s.seen[dir] || !s.tree.IsDir(dir) {
		return nil // a file, or the address of something that is fetched
	}
	s.seen[dir] = true
	var k kustypes.Kustomization
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		file := filepath.Join(dir, name)
		if !s.tree.Exists(file) {
			continue
		}
		data, err := s.tree.ReadFile(file)
		if err == nil {
			err = yaml.Unmarshal(data, &k)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.named(file), err)
		}
	}
	for _, file := range encryptable(k) {
		if err := s.file(s.within(dir, file.path), file.format); err != nil {
			return err
		}
	}
	for _, below := range slices.Concat(k.Resources, k.Components) {
		if err := s.visit(s.within(dir, below)); err != nil {
			return err
		}
	}
	return nil
}

// within returns the absolute path of what a file in dir names. What leads out
// of the tree leads to its top.
func (s sources) within(dir, path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return filepath.Join(s.root, filepath.Clean(string(filepath.Separator)+s.named(path)))
}

// named returns the path relative to the top of the tree.
func (s sources) named(path string) string {
	if rel, err := filepath.Rel(s.root, path); err == nil {
		return rel
	}
	return path
}

// encryptableFile is a file that may be encrypted, with the format in which it
// then is.
type encryptableFile struct {
	path   string
	format sops.Format
}

func encryptable(k kustypes.Kustomization) []encryptableFile {
	var files []encryptableFile
	for _, generator := range k.SecretGenerator {
		for _, entry := range generator.FileSources {
			key, path, named := strings.Cut(entry, "=")
			if !named {
				path = key
			}
			files = append(files, encryptableFile{path, sops.FormatOf(key)})
		}
		for _, path := range generator.EnvSources {
			format := sops.FormatOf(path)
			if format == sops.Binary {
				format = sops.Dotenv
			}
			files = append(files, encryptableFile{path, format})
		}
	}
	for _, patch := range k.Patches {
		address, err := url.Parse(patch.Path)
		if remote := err == nil && address.Scheme != "" && address.Host != ""; patch.Path != "" && !remote {
			files = append(files, encryptableFile{patch.Path, sops.FormatOf(patch.Path)})
		}
	}
	return files
}

func (s sources) file(path string, format sops.Format) error {
	if s.seen[path] {
		return nil
	}
	s.seen[path] = true
	data, err := s.tree.ReadFile(path)
	switch {
	case err != nil:
		return err
	case len(data) > sops.MaxFileSize:
		return fmt.Errorf("%s: cannot decrypt file with size (%d bytes) exceeding limit (%d)", s.named(path), len(data), sops.MaxFileSize)
	case !format.Marks(data):
		return nil
	}
	plain, values, err := s.decrypt(missing{part: "file " + s.named(path)}, data, format, format)
	if err != nil {
		return fmt.Errorf("%s: %w", s.named(path), err)
	}
	s.tree.files[path] = plain
	for _, value := range values {
		s.hide(value.Text)
	}
	if len(values) > 0 {
		s.hide(string(plain))
	}
	return nil
}

// resources decrypts, in place, the objects that are encrypted, and the values
// of Secrets that are documents of their own.
func (d *decryptor) resources(all resmap.ResMap) error {
	if d.keys == nil {
		return nil
	}
	for _, res := range all.Resources() {
		if strings.EqualFold(res.GetAnnotations()[decryptAnnotation], "disabled") {
			continue
		}
		var err error
		switch {
		case encrypted(res):
			err = d.object(res)
		case res.GetKind() == "Secret":
			err = d.values(res)
		default:
			continue
		}
		if err == nil {
			_, err = all.Replace(res)
		}
		if err != nil {
			return fmt.Errorf("decryption failed for '%s/%s': %w", res.GetGvk(), res.GetName(), err)
		}
	}
	return nil
}

func encrypted(res *resource.Resource) bool {
	own := res.Field("sops")
	if own.IsNilOrEmpty() {
		return false
	}
	return !own.Value.Field("mac").IsNilOrEmpty()
}

// isSecret says whether the server takes the object for a Secret; the controller
// asks for the kind alone.
func isSecret(res *resource.Resource) bool {
	return res.GetKind() == "Secret" && res.GetApiVersion() == "v1"
}

func nameOf(res *resource.Resource) string {
	return utils.FmtUnstructured(&unstructured.Unstructured{Object: map[string]any{
		"kind": res.GetKind(), "metadata": map[string]any{"namespace": res.GetNamespace(), "name": res.GetName()},
	}})
}

func (d *decryptor) object(res *resource.Resource) error {
	data, err := res.MarshalJSON()
	if err != nil {
		return err
	}
	data, values, err := d.decrypt(missing{object: nameOf(res), part: whole}, data, sops.JSON, sops.JSON)
	if err != nil {
		return fmt.Errorf("failed to decrypt and format '%s/%s' %s data: %w", res.GetNamespace(), res.GetName(), res.GetKind(), err)
	}
	for _, value := range values {
		// The data of a Secret is hidden wherever it is shown.
		field, _, _ := strings.Cut(value.Path, ":")
		if !isSecret(res) || field != "data" && field != "stringData" {
			d.hide(value.Text)
		}
	}
	return res.UnmarshalJSON(data)
}

func (d *decryptor) values(res *resource.Resource) error {
	data := res.GetDataMap()
	for _, key := range slices.Sorted(maps.Keys(data)) {
		value, err := base64.StdEncoding.DecodeString(data[key])
		if err != nil {
			continue // the server will tell
		}
		in, is := sops.Detect(value)
		if !is {
			continue
		}
		plain, values, err := d.decrypt(missing{object: nameOf(res), part: "data." + key}, value, in, sops.FormatOf(key))
		if err != nil {
			return fmt.Errorf("failed to decrypt and format '%s/%s' Secret field '%s': %w", res.GetNamespace(), res.GetName(), key, err)
		}
		data[key] = base64.StdEncoding.EncodeToString(plain)
		for _, value := range values {
			if !isSecret(res) {
				d.hide(value.Text)
			}
		}
	}
	res.SetDataMap(data)
	return nil
}

// undecrypted answers the controller's error for a Secret that is still
// encrypted when it is applied.
func undecrypted(objects []*unstructured.Unstructured) error {
	for _, o := range objects {
		_, marked, _ := unstructured.NestedFieldNoCopy(o.Object, "sops")
		disabled := strings.EqualFold(o.GetAnnotations()[decryptAnnotation], "disabled")
		if marked && !disabled && o.GetKind() == "Secret" && o.GetAPIVersion() == "v1" {
			return fmt.Errorf("%s is SOPS encrypted, configuring decryption is required for this secret to be reconciled", utils.FmtUnstructured(o))
		}
	}
	return nil
}

// hanging compares what was rendered with two sets of stand-ins, and tells of
// the objects that differ on what they hang. A name that differs is shortened
// to what is known of it.
func hanging(one, two []*unstructured.Unstructured, all []missing) (map[*unstructured.Unstructured]string, error) {
	differ := fmt.Errorf("which objects there are hangs on what could not be decrypted: %s", detailOf(nil, all))
	if len(one) != len(two) {
		return nil, differ
	}
	found := map[*unstructured.Unstructured]string{}
	for i, o := range one {
		if equality.Semantic.DeepEqual(o.Object, two[i].Object) {
			continue
		}
		if o.GroupVersionKind() != two[i].GroupVersionKind() || o.GetNamespace() != two[i].GetNamespace() {
			return nil, differ
		}
		found[o] = detailOf(o, all)
		if other := two[i].GetName(); other != o.GetName() {
			o.SetName(common(o.GetName(), other) + UnknownName)
		}
	}
	return found, nil
}

// detailOf tells what of the object is encrypted. What nothing of is encrypted
// hangs on a file or, by a replacement or a variable, on whatever there is.
func detailOf(o *unstructured.Unstructured, all []missing) string {
	var own, files, every []string
	for _, m := range all {
		every = append(every, m.String())
		switch {
		case m.object == "":
			files = append(files, m.String())
		case o != nil && m.object == utils.FmtUnstructured(o):
			own = append(own, m.part+m.advice)
		}
	}
	details := every
	if len(own) > 0 {
		details = own
	} else if o != nil && len(files) > 0 {
		details = files
	}
	slices.Sort(details)
	return strings.Join(slices.Compact(details), "; ")
}

// common returns the beginning of both names up to a hyphen.
func common(a, b string) string {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return a[:strings.LastIndex(a[:n], "-")+1]
}

// UnknownName ends the name of an object that hangs on what could not be
// decrypted, as the hash of a generated Secret does.
const UnknownName = "?"

// MayBe says whether the live object may be the rendered one, of whose name
// only the beginning is known.
func MayBe(live, rendered object.Ref) bool {
	beginning, unknown := strings.CutSuffix(rendered.Name, UnknownName)
	return unknown && strings.HasPrefix(live.Name, beginning) &&
		live.Namespace == rendered.Namespace && live.GVK().GroupKind() == rendered.GVK().GroupKind()
}

// Ciphertext says whether a value of the object is still encrypted, so that it
// would be applied as it is.
func Ciphertext(o *unstructured.Unstructured) bool {
	return !strings.EqualFold(o.GetAnnotations()[decryptAnnotation], "disabled") && holdsCiphertext(o.Object)
}

// ciphertext is how an encrypted value begins, as text and as base64.
var ciphertext = [...]string{"ENC[AES256_GCM,", base64.StdEncoding.EncodeToString([]byte("ENC[AES256_GCM,"))}

func holdsCiphertext(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), holdsCiphertext)
	case []any:
		return slices.ContainsFunc(v, holdsCiphertext)
	case string:
		return strings.HasPrefix(v, ciphertext[0]) || strings.HasPrefix(v, ciphertext[1])
	}
	return false
}
