package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const terraform = "../../deploy/terraform"

// TestTerraform checks that the Terraform module never writes the custom metadata of a secret as a
// whole, because Deskmint keeps the pointer and the kill switch there. A test in secrets/vault
// sends the same request to a real Vault.
func TestTerraform(t *testing.T) {
	file, faults := hclparse.NewParser().ParseHCLFile(filepath.Join(terraform, "secret.tf"))
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	resources := map[string]hclsyntax.Attributes{}
	for _, block := range file.Body.(*hclsyntax.Body).Blocks {
		if block.Type != "resource" {
			continue
		}
		resources[block.Labels[0]] = block.Body.Attributes
		for _, inner := range block.Body.Blocks {
			if inner.Type == "custom_metadata" {
				t.Errorf("%s replaces the custom metadata", block.Labels[0])
			}
		}
	}
	metadata := resources["vault_generic_endpoint"]
	if metadata["path"] == nil || metadata["data_json"] == nil || metadata["disable_delete"] == nil ||
		resources["vault_kv_secret_v2"] != nil {
		t.Errorf("resources %v", resources)
	}
	if name, _ := metadata["data_json"].Expr.(*hclsyntax.FunctionCallExpr); name == nil || name.Name != "file" {
		t.Error("data_json isn't the file that is tested with a real Vault")
	}
	text, err := os.ReadFile(filepath.Join(terraform, "metadata.json"))
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(text, &body); err != nil || body["custom_metadata"] != nil || body["max_versions"] == nil {
		t.Errorf("metadata.json is %s: %v", text, err)
	}
}
