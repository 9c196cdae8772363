// Reads YAML texts, one per line in hexadecimal, and tells for each what the reference's own reader makes of it: one
// line of JSON with the documents as the reference walks them, or the error.
//
// A map is ["m", [key, value], ...], a list ["l", value, ...], a scalar [kind, text], a comment ["#", text] or
// ["##", text] when it shares its line with a value. Keys are [kind, text], too; text is hexadecimal.
package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	for in.Scan() {
		text, err := hex.DecodeString(in.Text())
		if err != nil {
			panic(err)
		}
		documents, err := read(text)
		answer := map[string]any{}
		if err != nil {
			answer["error"] = err.Error()
		} else {
			answer["documents"] = documents
		}
		if err := encoder.Encode(answer); err != nil {
			panic(err)
		}
		out.Flush()
	}
}

func read(text []byte) (documents []any, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("panic: %v", panicked)
		}
	}()
	// The first document is checked for what only decoding finds.
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(make(map[string]any)); err != nil {
		return nil, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if err == io.EOF {
			return documents, nil
		}
		if err != nil {
			return nil, err
		}
		document, err := root(&node)
		if err != nil {
			return nil, err
		}
		documents = append(documents, document)
	}
}

type list = []any

func comments(of list, text, mark string) list {
	for _, line := range strings.Split(text, "\n") {
		if line != "" {
			of = append(of, list{mark, hex.EncodeToString([]byte(line[1:]))})
		}
	}
	return of
}

func root(document *yaml.Node) (list, error) {
	out := comments(list{"m"}, document.HeadComment, "#")
	out = comments(out, document.LineComment, "#")
	node := document.Content[0]
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch node.Kind {
	case yaml.MappingNode:
		var err error
		if out, err = entries(out, node, false, 0); err != nil {
			return nil, err
		}
	case yaml.ScalarNode:
		if node.ShortTag() != "!!null" {
			return nil, fmt.Errorf("a document that is a value")
		}
		out = comments(out, node.HeadComment, "#")
		out = comments(out, node.LineComment, "#")
		out = comments(out, node.FootComment, "#")
	default:
		return nil, fmt.Errorf("a document that is a list")
	}
	return comments(out, document.FootComment, "#"), nil
}

func entries(out list, node *yaml.Node, handled bool, depth int) (list, error) {
	if !handled {
		out = comments(out, node.HeadComment, "#")
		out = comments(out, node.LineComment, "#")
	}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		out = comments(out, key.HeadComment, "#")
		out = comments(out, key.LineComment, "#")
		isLeaf := value.Kind == yaml.ScalarNode || value.Kind == yaml.AliasNode
		if isLeaf {
			out = comments(out, value.HeadComment, "#")
			out = comments(out, value.LineComment, "##")
		}
		name := key
		for name.Kind == yaml.AliasNode {
			name = name.Alias
		}
		if name.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("a key that is a collection")
		}
		shownKey, err := scalar(name)
		if err != nil {
			return nil, err
		}
		shown, err := show(value, isLeaf, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, list{shownKey, shown})
		if isLeaf {
			out = comments(out, value.FootComment, "#")
		}
		out = comments(out, key.FootComment, "#")
	}
	if !handled {
		out = comments(out, node.FootComment, "#")
	}
	return out, nil
}

func show(node *yaml.Node, handled bool, depth int) (list, error) {
	if depth > 20000 {
		return nil, fmt.Errorf("too deep")
	}
	switch node.Kind {
	case yaml.AliasNode:
		return show(node.Alias, false, depth+1)
	case yaml.ScalarNode:
		return scalar(node)
	case yaml.MappingNode:
		return entries(list{"m"}, node, handled, depth)
	}
	out := list{"l"}
	if !handled {
		out = comments(out, node.HeadComment, "#")
		out = comments(out, node.LineComment, "#")
	}
	for _, item := range node.Content {
		out = comments(out, item.HeadComment, "#")
		out = comments(out, item.LineComment, "##")
		shown, err := show(item, true, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, shown)
		out = comments(out, item.FootComment, "#")
	}
	if !handled {
		out = comments(out, node.FootComment, "#")
	}
	return out, nil
}

func scalar(node *yaml.Node) (list, error) {
	var value any
	if err := node.Decode(&value); err != nil {
		return nil, err
	}
	kind, text := "", ""
	switch value := value.(type) {
	case nil:
		kind = "null"
	case bool:
		kind, text = "bool", strconv.FormatBool(value)
	case int:
		kind, text = "int", strconv.Itoa(value)
	case int64:
		kind, text = "int", strconv.FormatInt(value, 10)
	case uint64:
		kind, text = "unsigned", strconv.FormatUint(value, 10)
	case float64:
		kind, text = "float", strconv.FormatFloat(value, 'f', -1, 64)
	case time.Time:
		kind, text = "time", value.Format(time.RFC3339Nano)
	case string:
		kind, text = "str", value
	default:
		return nil, fmt.Errorf("unexpected %T", value)
	}
	return list{kind, hex.EncodeToString([]byte(text))}, nil
}
