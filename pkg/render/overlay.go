package render

import (
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// overlay shows some files with other content, and everything else as it is on
// the disk below. It lets the generated kustomization.yaml be built, and what
// is encrypted be decrypted, without being written into the user's tree.
type overlay struct {
	filesys.FileSystem
	// files are the contents by absolute path.
	files map[string][]byte
}

func (o overlay) Exists(path string) bool {
	_, laid := o.files[path]
	return laid || o.FileSystem.Exists(path)
}

func (o overlay) IsDir(path string) bool {
	_, laid := o.files[path]
	return !laid && o.FileSystem.IsDir(path)
}

func (o overlay) ReadFile(path string) ([]byte, error) {
	if data, laid := o.files[path]; laid {
		return data, nil
	}
	return o.FileSystem.ReadFile(path)
}
