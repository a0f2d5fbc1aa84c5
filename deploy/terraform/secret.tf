# The Vault side of one Zendesk secret, for Terraform's provider hashicorp/vault.
#
# Deskmint's commands keep the pointer to the active version, its serial and the kill switch in
# the secret's custom metadata. Never manage those here: a `custom_metadata` block of
# vault_kv_secret_v2 replaces all of them at every apply. Replicas that run go on signing, but
# replicas that start afterwards refuse to, and a switch-off is known from a mark in the secret's
# data only. `ignore_changes` doesn't help: the provider then writes the state of its last refresh.
#
# Nor put the value here: it would be in Terraform's state. `deskmint secret stage` writes it.

variable "mount" {
  description = "The KV v2 engine."
  type        = string
  default     = "secret"
}

variable "path" {
  description = "The secret's path, as secret.path in Deskmint's configuration file has it."
  type        = string
  default     = "sso/acme-customers"
}

variable "labels" {
  description = "Your own custom metadata, such as an owner. The keys active_version, previous_version, serial and disabled are Deskmint's."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setintersection(keys(var.labels), ["active_version", "previous_version", "serial", "disabled"])) == 0
    error_message = "active_version, previous_version, serial and disabled are written by `deskmint secret` only."
  }
}

# A write of a secret's metadata that doesn't name custom_metadata leaves them as they are.
resource "vault_generic_endpoint" "metadata" {
  path                 = "${var.mount}/metadata/${var.path}"
  data_json            = file("${path.module}/metadata.json")
  ignore_absent_fields = true
  disable_delete       = true # destroying the resource must not destroy the secret
}

# PATCH changes single keys, which no resource of the provider does.
resource "terraform_data" "labels" {
  for_each         = var.labels
  triggers_replace = [each.key, each.value]
  depends_on       = [vault_generic_endpoint.metadata]

  provisioner "local-exec" {
    command = "vault kv metadata patch -mount=\"$MOUNT\" -custom-metadata=\"$KEY=$VALUE\" \"$SECRET\""
    environment = {
      MOUNT  = var.mount
      SECRET = var.path
      KEY    = each.key
      VALUE  = each.value
    }
  }
}
