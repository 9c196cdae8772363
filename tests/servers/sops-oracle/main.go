// Performs the steps of upstream's commands on texts, with upstream's own packages: one request per line of JSON, one answer
// per line. Starting the real program for each step of thousands of generated documents would take hours.
//
// Texts are hexadecimal. A listing is upstream's tree: a map is ["m", [key, value], ...], a list ["l", value, ...], a
// scalar [kind, text], a comment ["#", text]. Where a tree is encrypted, a ciphertext is ["enc", kind].
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	"github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/stores/dotenv"
	"github.com/getsops/sops/v3/stores/ini"
	jsonstore "github.com/getsops/sops/v3/stores/json"
	"github.com/getsops/sops/v3/stores/yaml"
	"github.com/sirupsen/logrus"
)

type request struct {
	Op      string
	Format  string
	Text    string
	Key     string
	Field   string
	Pattern string
	MacOnly bool
	// Who can unwrap the data key of what is encrypted here, and the wrapped key.
	Recipient string
	Wrapped   string
	Path      []any
	Value     string
	// Gives the tree alone: not all trees can be written.
	ListOnly bool
}

type answer map[string]any

type store interface {
	sops.Store
}

func main() {
	logrus.SetLevel(logrus.PanicLevel)
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 256<<20)
	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	for in.Scan() {
		var asked request
		decoder := json.NewDecoder(strings.NewReader(in.Text()))
		decoder.UseNumber()
		if err := decoder.Decode(&asked); err != nil {
			panic(err)
		}
		if err := encoder.Encode(answerTo(asked)); err != nil {
			panic(err)
		}
		out.Flush()
	}
}

func answerTo(asked request) (given answer) {
	defer func() {
		if panicked := recover(); panicked != nil {
			given = answer{"error": fmt.Sprintf("panic: %v", panicked)}
		}
	}()
	given, err := perform(asked)
	if err != nil {
		return answer{"error": err.Error()}
	}
	return given
}

func storeOf(format string) store {
	switch format {
	case "yaml":
		return yaml.NewStore(&config.YAMLStoreConfig{})
	case "json":
		return jsonstore.NewStore(&config.JSONStoreConfig{Indent: -1})
	case "dotenv":
		return dotenv.NewStore(&config.DotenvStoreConfig{})
	case "ini":
		return ini.NewStore(&config.INIStoreConfig{})
	case "binary":
		return jsonstore.NewBinaryStore(&config.JSONBinaryStoreConfig{Indent: -1})
	}
	panic("unknown format " + format)
}

func perform(asked request) (answer, error) {
	text, err := hex.DecodeString(asked.Text)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(asked.Key)
	if err != nil {
		return nil, err
	}
	files := storeOf(asked.Format)
	switch asked.Op {
	case "list":
		branches, err := files.LoadPlainFile(text)
		if err != nil {
			return nil, err
		}
		return answer{"listing": list(branches, false)}, nil
	case "list encrypted":
		tree, err := files.LoadEncryptedFile(text)
		if err != nil {
			return nil, err
		}
		return answer{"listing": list(tree.Branches, true)}, nil
	case "encrypt":
		branches, err := files.LoadPlainFile(text)
		if err != nil {
			return nil, err
		}
		if len(branches) < 1 {
			return nil, fmt.Errorf("no document")
		}
		if files.HasSopsTopLevelKey(branches[0]) {
			return nil, fmt.Errorf("already encrypted")
		}
		tree := sops.Tree{Branches: branches, Metadata: metadata(asked)}
		if err := encrypt(&tree, key, aes.NewCipher()); err != nil {
			return nil, err
		}
		listing := list(tree.Branches, true)
		emitted, err := files.EmitEncryptedFile(tree)
		if err != nil {
			return nil, err
		}
		return answer{"text": hex.EncodeToString(emitted), "listing": listing}, nil
	}
	tree, err := files.LoadEncryptedFile(text)
	if err != nil {
		return nil, err
	}
	if len(key) == 0 {
		// The file was made by a program, which has made the key, too.
		if key, err = tree.Metadata.GetDataKey(); err != nil {
			return nil, err
		}
	}
	cipher := aes.NewCipher()
	if err := decrypt(&tree, key, cipher); err != nil {
		return nil, err
	}
	switch asked.Op {
	case "decrypt":
		listing := list(tree.Branches, false)
		if asked.ListOnly {
			return answer{"listing": listing}, nil
		}
		emitted, err := files.EmitPlainFile(tree.Branches)
		if err != nil {
			return nil, err
		}
		return answer{"text": hex.EncodeToString(emitted), "listing": listing}, nil
	case "extract":
		value, err := tree.Branches[0].Truncate(path(asked.Path))
		if err != nil {
			return nil, err
		}
		return answer{"listing": show(value, false)}, nil
	case "set":
		tree.Branches[0], _ = tree.Branches[0].Set(path(asked.Path), asked.Value)
	case "unset":
		branch, err := tree.Branches[0].Unset(path(asked.Path))
		if err != nil {
			return nil, err
		}
		tree.Branches[0] = branch
	case "rotate":
	default:
		return nil, fmt.Errorf("unknown step %q", asked.Op)
	}
	listing := list(tree.Branches, false)
	if files.HasSopsTopLevelKey(tree.Branches[0]) {
		return nil, fmt.Errorf("already encrypted")
	}
	if asked.ListOnly {
		return answer{"listing": listing}, nil
	}
	if err := encrypt(&tree, key, cipher); err != nil {
		return nil, err
	}
	emitted, err := files.EmitEncryptedFile(tree)
	if err != nil {
		return nil, err
	}
	return answer{"text": hex.EncodeToString(emitted), "listing": listing}, nil
}

func metadata(asked request) sops.Metadata {
	of := sops.Metadata{
		Version:          "3.13.3",
		MACOnlyEncrypted: asked.MacOnly,
		KeyGroups: []sops.KeyGroup{{&age.MasterKey{
			Recipient:    asked.Recipient,
			EncryptedKey: asked.Wrapped,
		}}},
	}
	switch asked.Field {
	case "unencrypted_suffix":
		of.UnencryptedSuffix = asked.Pattern
	case "encrypted_suffix":
		of.EncryptedSuffix = asked.Pattern
	case "unencrypted_regex":
		of.UnencryptedRegex = asked.Pattern
	case "encrypted_regex":
		of.EncryptedRegex = asked.Pattern
	case "unencrypted_comment_regex":
		of.UnencryptedCommentRegex = asked.Pattern
	case "encrypted_comment_regex":
		of.EncryptedCommentRegex = asked.Pattern
	default:
		if asked.Format != "binary" {
			of.UnencryptedSuffix = sops.DefaultUnencryptedSuffix
		}
	}
	return of
}

func encrypt(tree *sops.Tree, key []byte, cipher sops.Cipher) error {
	mac, err := tree.Encrypt(key, cipher)
	if err != nil {
		return err
	}
	tree.Metadata.LastModified = time.Now().UTC()
	at := tree.Metadata.LastModified.Format(time.RFC3339)
	tree.Metadata.MessageAuthenticationCode, err = cipher.Encrypt(mac, key, at)
	return err
}

func decrypt(tree *sops.Tree, key []byte, cipher sops.Cipher) error {
	computed, err := tree.Decrypt(key, cipher)
	if err != nil {
		return fmt.Errorf("25: %w", err)
	}
	at := tree.Metadata.LastModified.Format(time.RFC3339)
	stored, err := cipher.Decrypt(tree.Metadata.MessageAuthenticationCode, key, at)
	if err != nil {
		return fmt.Errorf("51: %w", err)
	}
	if stored != computed {
		return fmt.Errorf("51: MAC mismatch")
	}
	return nil
}

func path(steps []any) (out []any) {
	for _, step := range steps {
		switch step := step.(type) {
		case json.Number:
			index, err := strconv.Atoi(step.String())
			if err != nil {
				panic(err)
			}
			out = append(out, index)
		default:
			out = append(out, step)
		}
	}
	return out
}

func list(branches sops.TreeBranches, encrypted bool) (out []any) {
	for _, branch := range branches {
		out = append(out, show(branch, encrypted))
	}
	return out
}

var ciphertext = regexp.MustCompile(`(?s)^ENC\[AES256_GCM,data:.+,iv:.+,tag:.+,type:(.+)\]$`)

func text(of string) string {
	return hex.EncodeToString([]byte(of))
}

func leaf(kind, content string, encrypted bool) []any {
	if found := ciphertext.FindStringSubmatch(content); encrypted && found != nil {
		return []any{"enc", found[1]}
	}
	return []any{kind, text(content)}
}

func show(value any, encrypted bool) []any {
	switch value := value.(type) {
	case sops.TreeBranch:
		out := []any{"m"}
		for _, item := range value {
			if comment, ok := item.Key.(sops.Comment); ok {
				out = append(out, leaf("#", comment.Value, encrypted))
				continue
			}
			out = append(out, []any{fmt.Sprintf("%T %s", item.Key, text(fmt.Sprint(item.Key))), show(item.Value, encrypted)})
		}
		return out
	case []any:
		out := []any{"l"}
		for _, item := range value {
			out = append(out, show(item, encrypted))
		}
		return out
	case sops.Comment:
		return leaf("#", value.Value, encrypted)
	case nil:
		return []any{"null", ""}
	case bool:
		return []any{"bool", text(strconv.FormatBool(value))}
	case int:
		return []any{"int", text(strconv.Itoa(value))}
	case float64:
		return []any{"float", text(strconv.FormatFloat(value, 'f', -1, 64))}
	case time.Time:
		return []any{"time", text(value.Format(time.RFC3339Nano))}
	case string:
		return leaf("str", value, encrypted)
	case []byte:
		return leaf("str", string(value), encrypted)
	default:
		return []any{fmt.Sprintf("%T", value), text(fmt.Sprint(value))}
	}
}
