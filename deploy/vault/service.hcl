# What `deskmint serve` needs of Vault: to read, and nothing else. Beside it Vault's
# policy `default`, which every token has unless told otherwise, lets a token look at
# and renew itself, and ask what it may do.
path "secret/data/sso/*"     { capabilities = ["read"] }
path "secret/metadata/sso/*" { capabilities = ["read"] }
