# What `deskmint secret` needs of Vault, with its operator's own token.
#   data      create: the first version ever; update: each further one; read: to check
#             a version before it is activated, and to tell versions apart
#   metadata  patch: to move the pointer, and only by single keys; a token that may
#             also update could wipe it
#   delete    update: to delete the version that marks a switch-off, when it is over
#   undelete  update: to bring back a version that was deleted by mistake
#   destroy   update: to make a version that can't sign, or that leaked, unreadable for good
#   config    how many versions the mount keeps
path "secret/data/sso/*"     { capabilities = ["create", "read", "update"] }
path "secret/metadata/sso/*" { capabilities = ["read", "patch"] }
path "secret/delete/sso/*"   { capabilities = ["update"] }
path "secret/undelete/sso/*" { capabilities = ["update"] }
path "secret/destroy/sso/*"  { capabilities = ["update"] }
path "secret/config"         { capabilities = ["read"] }
