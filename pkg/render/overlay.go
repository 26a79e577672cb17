package render

import (
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// overlay shows one file with other content, and everything else as it is on
// the disk below. It lets the generated kustomization.yaml be built without
// being written into the user's tree.
type overlay struct {
	filesys.FileSystem
	path string
	data []byte
}

func (o overlay) Exists(path string) bool {
	return path == o.path || o.FileSystem.Exists(path)
}

func (o overlay) IsDir(path string) bool {
	return path != o.path && o.FileSystem.IsDir(path)
}

func (o overlay) ReadFile(path string) ([]byte, error) {
	if path == o.path {
		return o.data, nil
	}
	return o.FileSystem.ReadFile(path)
}
