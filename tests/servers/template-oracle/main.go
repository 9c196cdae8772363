// Renders templates as the Sealed Secrets controller does: a line of JSON in, a line of JSON out.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

type question struct {
	Template string            `json:"template"`
	Data     map[string][]byte `json:"data"`
}

type answer struct {
	Output []byte `json:"output"`
	Error  string `json:"error,omitempty"`
}

func main() {
	functions := template.FuncMap(sprig.GenericFuncMap())
	for _, name := range []string{"env", "expandenv", "getHostByName"} {
		delete(functions, name)
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var asked question
		if err := json.Unmarshal(in.Bytes(), &asked); err != nil {
			panic(err)
		}
		output, err := render(asked, functions)
		told := answer{Output: output}
		if err != nil {
			told = answer{Error: err.Error()}
		}
		if err := out.Encode(told); err != nil {
			panic(err)
		}
	}
}

func render(asked question, functions template.FuncMap) ([]byte, error) {
	parsed, err := template.New("t").Funcs(functions).Parse(asked.Template)
	if err != nil {
		return nil, err
	}
	data := map[string]string{}
	for key, value := range asked.Data {
		data[key] = string(value)
	}
	var output bytes.Buffer
	err = parsed.Execute(&output, data)
	return output.Bytes(), err
}
