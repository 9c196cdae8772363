// What Flux and Argo CD would say of objects, by their own code: Flux by kstatus, Argo CD by the Lua checks that it ships.
//
// Standard input is a JSON list of objects; standard output is a list with one verdict for each.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/argoproj/argo-cd/v3/resource_customizations"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kjson "k8s.io/apimachinery/pkg/util/json"
)

type verdict struct {
	Flux        string `json:"flux"`
	FluxMessage string `json:"fluxMessage"`
	Argo        string `json:"argo"`
	ArgoMessage string `json:"argoMessage"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gitops-verdicts:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	// Whole numbers stay whole, as kstatus wants them.
	var objects []any
	if err := kjson.Unmarshal(text, &objects); err != nil {
		return err
	}
	verdicts := make([]verdict, 0, len(objects))
	for _, content := range objects {
		fields, isObject := content.(map[string]any)
		if !isObject {
			return fmt.Errorf("not an object: %v", content)
		}
		object := &unstructured.Unstructured{Object: fields}
		result, err := status.Compute(object)
		if err != nil {
			return fmt.Errorf("kstatus of %s: %w", object.GetName(), err)
		}
		argo, message, err := health(object)
		if err != nil {
			return fmt.Errorf("health of %s: %w", object.GetName(), err)
		}
		verdicts = append(verdicts, verdict{
			Flux: result.Status.String(), FluxMessage: result.Message, Argo: argo, ArgoMessage: message,
		})
	}
	return json.NewEncoder(os.Stdout).Encode(verdicts)
}

// health runs the check that Argo CD ships for the kind. As there, an object that is being deleted is not asked about, and a
// kind without a check has no health.
func health(object *unstructured.Unstructured) (string, string, error) {
	if object.GetDeletionTimestamp() != nil {
		return "Progressing", "Pending deletion", nil
	}
	kind := object.GroupVersionKind()
	script, err := resource_customizations.Embedded.ReadFile(path.Join(kind.Group, kind.Kind, "health.lua"))
	if err != nil {
		return "", "", nil
	}
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	// The libraries that Argo CD opens for its checks.
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}} {
		call := lua.P{Fn: state.NewFunction(library.open), Protect: true}
		if err := state.CallByParam(call, lua.LString(library.name)); err != nil {
			return "", "", err
		}
	}
	limit, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	state.SetContext(limit)
	state.SetGlobal("obj", value(state, object.Object))
	if err := state.DoString(string(script)); err != nil {
		return "", "", err
	}
	answer, isTable := state.Get(-1).(*lua.LTable)
	if !isTable {
		return "", "", fmt.Errorf("the check gives no table")
	}
	text := func(name string) string { return strings.TrimSpace(lua.LVAsString(answer.RawGetString(name))) }
	return text("status"), text("message"), nil
}

// value makes a value of Lua out of one of JSON.
func value(state *lua.LState, from any) lua.LValue {
	switch from := from.(type) {
	case bool:
		return lua.LBool(from)
	case float64:
		return lua.LNumber(from)
	case int64:
		return lua.LNumber(from)
	case string:
		return lua.LString(from)
	case []any:
		table := state.CreateTable(len(from), 0)
		for _, item := range from {
			table.Append(value(state, item))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(from))
		for name, item := range from {
			table.RawSetString(name, value(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}
