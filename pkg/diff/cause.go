package diff

import (
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"

	ssaerrors "github.com/fluxcd/pkg/ssa/errors"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
)

// cause is one field that the API server complains about.
type cause struct {
	kind    metav1.CauseType
	field   string
	message string
}

// ofChange says whether the complaint is about the change of the field. A value
// that is not among the supported ones is complained of only because of another
// field, which forces the recreation: the replacement has it and was accepted.
func (c cause) ofChange() bool {
	return c.field != "" && c.kind != metav1.CauseTypeFieldValueNotSupported
}

// causes returns what the server says is wrong, field by field.
func causes(err error) []cause {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	var found []cause
	for _, c := range status.Status().Details.Causes {
		found = append(found, cause{c.Type, c.Field, withoutDump(c.Message)})
	}
	return found
}

// withoutDump shortens "Invalid value: {…the whole pod template…}: field is
// immutable" to what follows the value. A short scalar value stays.
func withoutDump(message string) string {
	const prefix = "Invalid value: "
	value, found := strings.CutPrefix(message, prefix)
	if !found || (len(message) < 200 && !strings.HasPrefix(value, "{") && !strings.HasPrefix(value, "[")) {
		return message
	}
	if detail, found := afterValue(value); found {
		return detail
	}
	return message
}

// withoutValue shortens "Invalid value: "…": not good", and the like, to what
// follows the value, or to what goes before it if nothing follows.
func withoutValue(message string) string {
	kind, value, found := strings.Cut(message, ": ")
	if !found || !strings.HasSuffix(kind, " value") && kind != "Not found" {
		return message
	}
	if detail, found := afterValue(value); found {
		return detail
	}
	return kind
}

// afterValue returns what stands in text after a value and ": ". The value may
// hold ": " itself.
func afterValue(text string) (detail string, found bool) {
	if quoted, err := strconv.QuotedPrefix(text); err == nil {
		return strings.CutPrefix(text[len(quoted):], ": ")
	}
	var value any
	if d := json.NewDecoder(strings.NewReader(text)); d.Decode(&value) == nil {
		return strings.CutPrefix(text[d.InputOffset():], ": ")
	}
	if i := strings.LastIndex(text, ": "); i >= 0 {
		return text[i+2:], true
	}
	return "", false
}

// Explain returns err in one sentence, in the server's words, without the
// dumps of objects and without what may show a secret.
func Explain(ref object.Ref, err error, mask Mask) string {
	list := causes(err)
	if len(list) == 0 {
		if ref.IsSecret() && mayQuote(err) {
			return string(apierrors.ReasonForError(err)) + ": the server's answer is left out, as it may quote the Secret"
		}
		return mask.Text(strings.TrimSpace(err.Error()))
	}
	var parts []string
	for _, c := range list {
		text := c.message
		if ref.IsSecret() {
			text = withoutValue(text)
		}
		text = strings.TrimSpace(text)
		if c.field != "" && c.field != "<nil>" {
			text = c.field + ": " + text
		}
		if len(parts) == 0 || parts[len(parts)-1] != text {
			parts = append(parts, text)
		}
	}
	return mask.Text(strings.Join(parts, "; "))
}

// mayQuote says whether the answer is of a kind that repeats what was sent.
func mayQuote(err error) bool {
	return !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && !apierrors.IsTimeout(err)
}

// immutable says whether the controller takes err for a change of an immutable
// field: any Conflict or Invalid answer, or a message that says so.
func immutable(err error) bool { return err != nil && ssaerrors.IsImmutableError(err) }

// unauthorized says whether err is about the rights of the caller, not about
// the object: admission that refuses answers Forbidden as well, in words of its
// own.
func unauthorized(err error) bool {
	return apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err) && userCannot.MatchString(err.Error())
}

// userCannot is how the API server begins what the user has no right to.
var userCannot = regexp.MustCompile(`forbidden: User ".+" cannot `)
