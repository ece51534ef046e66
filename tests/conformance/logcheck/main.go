// Logcheck opens a transparency log with the implementation of Go's checksum database, sharing nothing with ours:
// the signed notes with golang.org/x/mod/sumdb/note, tiles and proofs with golang.org/x/mod/sumdb/tlog, cosignatures
// by its own reading of C2SP tlog-cosignature with crypto/ed25519.
//
// Usage: logcheck DIR. DIR holds vkey, checkpoint-<size> files, tile/… as served, and proofs.json; where witness-vkey
// is there, at least one checkpoint must be cosigned by it, and every line that names it must hold. Exit 0 when all of
// it holds, 1 with the first fault on stderr.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type inclusion struct {
	Index int64    `json:"index"`
	Size  int64    `json:"size"`
	Entry []byte   `json:"entry"`
	Path  [][]byte `json:"path"`
}

type consistency struct {
	From int64    `json:"from"`
	To   int64    `json:"to"`
	Path [][]byte `json:"path"`
}

type proofs struct {
	Inclusion   []inclusion   `json:"inclusion"`
	Consistency []consistency `json:"consistency"`
}

// tiles reads tiles as C2SP tlog-tiles lays them out: Go's own layout with the height left out of the path.
type tiles struct{ dir string }

func (t tiles) Height() int { return 8 }

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(t.dir, path))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func main() {
	if err := check(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(dir string) error {
	trees, err := openCheckpoints(dir)
	if err != nil {
		return err
	}
	var given proofs
	data, err := os.ReadFile(filepath.Join(dir, "proofs.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &given); err != nil {
		return err
	}
	for _, tree := range trees {
		if err := checkTiles(dir, tree); err != nil {
			return fmt.Errorf("tiles of %d: %w", tree.N, err)
		}
	}
	for _, one := range given.Inclusion {
		if err := checkInclusion(dir, trees[one.Size], one); err != nil {
			return fmt.Errorf("inclusion of %d in %d: %w", one.Index, one.Size, err)
		}
	}
	for _, one := range given.Consistency {
		if err := checkConsistency(dir, trees[one.From], trees[one.To], one); err != nil {
			return fmt.Errorf("consistency of %d with %d: %w", one.From, one.To, err)
		}
	}
	fmt.Printf("%d checkpoints, %d inclusions, %d consistencies\n",
		len(trees), len(given.Inclusion), len(given.Consistency))
	return checkWitness(dir)
}

// cosigner verifies cosignature/v1 lines: 8 bytes of big-endian Unix seconds, then an Ed25519 signature over
// "cosignature/v1\ntime N\n" and the note's text.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (c cosigner) Name() string { return c.name }

func (c cosigner) KeyHash() uint32 { return c.hash }

func (c cosigner) Verify(message, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	seconds := binary.BigEndian.Uint64(signature)
	signed := append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", seconds)), message...)
	return ed25519.Verify(c.key, signed, signature[8:])
}

// newCosigner reads name+hash+base64(0x04 || key). The hash is of name, newline, 0x04 and key.
func newCosigner(vkey string) (cosigner, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return cosigner{}, fmt.Errorf("witness-vkey has another form")
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != 0x04 {
		return cosigner{}, fmt.Errorf("witness-vkey is no cosignature/v1 key")
	}
	sum := sha256.Sum256(bytes.Join([][]byte{[]byte(parts[0]), key}, []byte("\n")))
	hash := binary.BigEndian.Uint32(sum[:4])
	if fmt.Sprintf("%08x", hash) != parts[1] {
		return cosigner{}, fmt.Errorf("witness-vkey has the hash of another key")
	}
	return cosigner{parts[0], hash, ed25519.PublicKey(key[1:])}, nil
}

func checkWitness(dir string) error {
	vkey, err := os.ReadFile(filepath.Join(dir, "witness-vkey"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	witness, err := newCosigner(strings.TrimSpace(string(vkey)))
	if err != nil {
		return err
	}
	names, err := filepath.Glob(filepath.Join(dir, "checkpoint-*"))
	if err != nil {
		return err
	}
	cosigned := 0
	for _, name := range names {
		message, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if !bytes.Contains(message, []byte("\n\u2014 "+witness.name+" ")) {
			continue
		}
		// Open fails on a line of a known key that does not verify.
		opened, err := note.Open(message, note.VerifierList(witness))
		if err != nil {
			return fmt.Errorf("cosignature of %s: %w", filepath.Base(name), err)
		}
		cosigned += len(opened.Sigs)
	}
	if cosigned == 0 {
		return fmt.Errorf("no checkpoint is cosigned by %s", witness.name)
	}
	fmt.Printf("%d cosignatures\n", cosigned)
	return nil
}

func openCheckpoints(dir string) (map[int64]tlog.Tree, error) {
	vkey, err := os.ReadFile(filepath.Join(dir, "vkey"))
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(string(vkey)))
	if err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "checkpoint-*"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("no checkpoints: %v", err)
	}
	trees := map[int64]tlog.Tree{}
	for _, name := range names {
		message, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		opened, err := note.Open(message, note.VerifierList(verifier))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		lines := strings.Split(opened.Text, "\n")
		if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
			return nil, fmt.Errorf("%s is no checkpoint of its log", filepath.Base(name))
		}
		size, err := strconv.ParseInt(lines[1], 10, 64)
		if err != nil {
			return nil, err
		}
		hash, err := tlog.ParseHash(lines[2])
		if err != nil {
			return nil, err
		}
		trees[size] = tlog.Tree{N: size, Hash: hash}
	}
	return trees, nil
}

// checkTiles computes the tree's hash from its tiles, and holds every entry of its bundles against them.
func checkTiles(dir string, tree tlog.Tree) error {
	reader := tlog.TileHashReader(tree, tiles{dir})
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return fmt.Errorf("their root is %v, the checkpoint's %v", root, tree.Hash)
	}
	for index := int64(0); index < tree.N; {
		tile := tlog.Tile{H: 8, L: 0, N: index / 256, W: int(min(256, tree.N-index))}
		path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
		bundle, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		for end := index + int64(tile.W); index < end; index++ {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return fmt.Errorf("%s ends early", path)
			}
			length := int(binary.BigEndian.Uint16(bundle))
			entry := bundle[2 : 2+length]
			bundle = bundle[2+length:]
			hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
			if err != nil {
				return err
			}
			if hashes[0] != tlog.RecordHash(entry) {
				return fmt.Errorf("entry %d is not that of its tile", index)
			}
		}
		if len(bundle) != 0 {
			return fmt.Errorf("%s holds more than its width", path)
		}
	}
	return nil
}

func checkInclusion(dir string, tree tlog.Tree, given inclusion) error {
	path, err := hashes(given.Path)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(path, tree.N, tree.Hash, given.Index, tlog.RecordHash(given.Entry)); err != nil {
		return err
	}
	own, err := tlog.ProveRecord(tree.N, given.Index, tlog.TileHashReader(tree, tiles{dir}))
	if err != nil {
		return err
	}
	if len(own)+len(path) > 0 && !reflect.DeepEqual([]tlog.Hash(own), path) {
		return fmt.Errorf("the path is another than the one computed here")
	}
	return nil
}

func checkConsistency(dir string, old, new tlog.Tree, given consistency) error {
	path, err := hashes(given.Path)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(path, new.N, new.Hash, old.N, old.Hash); err != nil {
		return err
	}
	own, err := tlog.ProveTree(new.N, old.N, tlog.TileHashReader(new, tiles{dir}))
	if err != nil {
		return err
	}
	if len(own)+len(path) > 0 && !reflect.DeepEqual([]tlog.Hash(own), path) {
		return fmt.Errorf("the path is another than the one computed here")
	}
	return nil
}

func hashes(encoded [][]byte) ([]tlog.Hash, error) {
	var decoded []tlog.Hash
	for _, one := range encoded {
		hash, err := tlog.ParseHash(base64.StdEncoding.EncodeToString(one))
		if err != nil {
			return nil, err
		}
		decoded = append(decoded, hash)
	}
	return decoded, nil
}

func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}
