package caller

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"math/big"
)

// minRSA is the minimal length of an RSA key, in bits (RFC 7518 section 3.3). The maximum is 4096
// in key sets, because go-jose reads no longer key. A longer key would make each token expensive to
// verify.
const minRSA = 2048

// keyFault returns why a public key is refused, or "". It finds RSA keys that are too short, and
// those with a private key that anyone can compute from the public one.
func keyFault(public crypto.PublicKey) string {
	k, ok := public.(*rsa.PublicKey)
	if !ok {
		return ""
	}
	switch fault := certificateKeyFault(k); {
	case fault != "":
		return fault
	case hasCloseFactors(k.N):
		return "has prime factors that are close to each other (CVE-2022-26320)"
	}
	return ""
}

// certificateKeyFault is the part of keyFault that is fast enough for every request.
func certificateKeyFault(public crypto.PublicKey) string {
	k, ok := public.(*rsa.PublicKey)
	if !ok {
		return ""
	}
	switch {
	case k.N.BitLen() < minRSA:
		return fmt.Sprintf("has %d bits, but RSA keys need %d", k.N.BitLen(), minRSA)
	case k.E < 3 || k.E%2 == 0:
		return "has an exponent that isn't an odd number above 1"
	case isROCA(k.N):
		return "comes from a chip or library that makes weak keys (ROCA, CVE-2017-15361)"
	}
	return ""
}

// maxROCAPrime is the largest of the 39 primes for which every modulus of 512 bits or more has the
// fingerprint.
const maxROCAPrime = 167

// isROCA reports whether a modulus has the fingerprint of the keys that Infineon's RSALib
// generated. The prime factors of such a key are k*M + 65537^a mod M, where M is the product of the
// first primes. So the modulus is a power of 65537 modulo each of these primes. The probability of
// that is about 2^-27 for another modulus. See Nemec, Sys, Svenda, Klinec and Matyas: The Return of
// Coppersmith's Attack: Practical Factorization of Widely Used RSA Moduli, CCS 2017.
//
// The Go library for it (titanous/rocacheck) is the same test, and was last changed in 2017.
func isROCA(n *big.Int) bool {
	for p := int64(3); p <= maxROCAPrime; p += 2 {
		if !big.NewInt(p).ProbablyPrime(0) {
			continue
		}
		if !isPowerOf65537(new(big.Int).Mod(n, big.NewInt(p)).Int64(), p) {
			return false
		}
	}
	return true
}

// isPowerOf65537 reports whether n is a power of 65537 modulo p.
func isPowerOf65537(n, p int64) bool {
	power := int64(1)
	for range p - 1 {
		if power == n {
			return true
		}
		power = power * 65537 % p
	}
	return false
}

// hasCloseFactors reports whether Fermat's method finds the factors of an odd n in 100 steps, as
// Let's Encrypt checks it, too. It does so if the two primes were generated one after the other
// from the same starting point. See Böck: Fermat Factorization in the Wild, 2023.
func hasCloseFactors(n *big.Int) bool {
	one := big.NewInt(1)
	a := new(big.Int).Sqrt(n)
	if new(big.Int).Mul(a, a).Cmp(n) != 0 {
		a.Add(a, one)
	}
	for range 100 {
		square := new(big.Int).Mul(a, a)
		square.Sub(square, n)
		root := new(big.Int).Sqrt(square)
		if root.Mul(root, root).Cmp(square) == 0 {
			return true
		}
		a.Add(a, one)
	}
	return false
}
