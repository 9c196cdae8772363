// Follows and sets paths in JSON as upstream's stores do: a line of JSON in, a line of JSON out.
package main

import (
	"bufio"
	"encoding/json"
	"os"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"
)

type question struct {
	Document []byte  `json:"document"`
	Path     string  `json:"path"`
	Set      *string `json:"set"`
}

type answer struct {
	Exists bool   `json:"exists"`
	Text   []byte `json:"text"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var asked question
		if err := json.Unmarshal(in.Bytes(), &asked); err != nil {
			panic(err)
		}
		if err := out.Encode(answered(asked)); err != nil {
			panic(err)
		}
	}
}

// The libraries panic at some paths; nothing comes out then.
func answered(asked question) (told answer) {
	defer func() {
		if recover() != nil {
			told = answer{}
		}
	}()
	if asked.Set != nil {
		changed, err := sjson.SetBytes(asked.Document, asked.Path, *asked.Set)
		if err != nil {
			return answer{}
		}
		return answer{Exists: true, Text: changed}
	}
	found := gjson.GetBytes(asked.Document, asked.Path)
	return answer{Exists: found.Exists(), Text: []byte(found.String())}
}
