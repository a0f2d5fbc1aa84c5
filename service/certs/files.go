package certs

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/deskmint/deskmint/service/readfile"
)

// Files are the PEM files of a server.
type Files struct {
	// Certificate holds the server's certificate and then the intermediate certificates up to a
	// root. Key holds the private key. They may be the same file.
	Certificate, Key string
	// ClientCA holds the certificates of the authorities that issue client certificates. If it is
	// empty, the server requests no client certificate.
	ClientCA string
}

// Check reports what prevents the server from using the files. key is certificate, key or
// client_ca. Check skips a file that isn't named. It doesn't check dates, because they change
// without any change to the files.
func (f Files) Check(report func(key, message string)) {
	_, faults := f.read().parse()
	for _, fault := range faults {
		report(fault.key, fault.message)
	}
}

// Certificate is a certificate in one of the files.
type Certificate struct {
	// Key is the configuration key of the file: certificate or client_ca.
	Key string
	*x509.Certificate
}

// Certificates returns all certificates in the files, the server's own first, whatever their dates.
// It leaves out files that can't be read, because Check reports those.
func (f Files) Certificates() (all []Certificate) {
	read := f.read()
	for _, file := range []file{read.certificate, read.clientCA} {
		if file.text == nil {
			continue
		}
		found, err := certificates(file.text)
		if err != nil {
			continue
		}
		for _, c := range found {
			all = append(all, Certificate{file.key, c})
		}
	}
	return all
}

// fileError describes what is wrong with one of the files.
type fileError struct{ key, path, message string }

// Error implements error.
func (f *fileError) Error() string { return fmt.Sprintf("tls.%s: %s %s", f.key, f.path, f.message) }

func joinErrors(faults []*fileError) error {
	errs := make([]error, len(faults))
	for i, f := range faults {
		errs[i] = f
	}
	return errors.Join(errs...)
}

// file is one of the files with the result of reading it.
type file struct {
	key, path string
	text      []byte
	err       error
}

// contents holds all files, read at about the same moment.
type contents struct{ certificate, key, clientCA file }

func (f Files) read() contents {
	c := contents{
		certificate: file{key: "certificate", path: f.Certificate},
		key:         file{key: "key", path: f.Key},
		clientCA:    file{key: "client_ca", path: f.ClientCA},
	}
	for _, file := range []*file{&c.certificate, &c.key, &c.clientCA} {
		if file.path != "" {
			file.text, file.err = readfile.Small(file.path)
		}
	}
	return c
}

// digest returns a hash of the contents. Comparing hashes shows whether a file has changed without
// keeping the key in memory.
func (c contents) digest() [sha256.Size]byte {
	h := sha256.New()
	for _, f := range []file{c.certificate, c.key, c.clientCA} {
		fmt.Fprintf(h, "%d %v\n", len(f.text), f.err)
		h.Write(f.text)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// parse returns the set that the files contain, or everything that is wrong with them.
func (c contents) parse() (*set, []*fileError) {
	out := &set{digest: c.digest()}
	var faults []*fileError
	report := func(f file, message string, details ...any) {
		faults = append(faults, &fileError{f.key, f.path, fmt.Sprintf(message, details...)})
	}
	for _, f := range []file{c.certificate, c.key, c.clientCA} {
		if f.err != nil {
			report(f, "can't be read: %v", cause(f.err))
		}
	}
	if f := c.certificate; f.text != nil {
		chain, err := certificates(f.text)
		if err != nil {
			report(f, "%v", err)
		} else if pair, err := tls.X509KeyPair(f.text, c.key.text); err == nil {
			out.pair, out.leaf = pair, chain[0]
			out.addCertificates(f.path, chain)
		} else if c.key.text != nil {
			report(c.key, "isn't the private key of certificate, in PEM form: %v", err)
		}
	}
	if f := c.clientCA; f.text != nil {
		authorities, err := authorities(f.text)
		if err != nil {
			report(f, "%v", err)
		}
		out.clients = x509.NewCertPool()
		for _, a := range authorities {
			out.clients.AddCert(a)
		}
		out.addCertificates(f.path, authorities)
	}
	return out, faults
}

// certificates returns all certificates in a file. It returns an error if a block has no end, as
// while the file is being written, because the decoder would skip such a block silently.
func certificates(text []byte) (out []*x509.Certificate, err error) {
	begun := bytes.Count(text, []byte("-----BEGIN "))
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		begun--
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("holds a certificate that can't be read (number %d): %w", len(out)+1, err)
		}
		out = append(out, c)
	}
	switch {
	case len(out) == 0:
		return nil, errors.New("holds no certificate in PEM form")
	case begun > 0:
		return nil, errors.New("holds a block that isn't PEM or is incomplete")
	}
	return out, nil
}

// authorities reads a file that may contain only certificates of authorities (RFC 5280, sections
// 4.2.1.9 and 4.2.1.3). It refuses anything else. Other content would be ignored forever, and the
// key of an authority doesn't belong on this machine.
func authorities(text []byte) ([]*x509.Certificate, error) {
	out, err := certificates(text)
	if err != nil {
		return nil, err
	}
	if blocks := bytes.Count(text, []byte("-----BEGIN ")); blocks != len(out) {
		return nil, errors.New("holds more than certificates, and should hold nothing else")
	}
	for _, c := range out {
		if !c.BasicConstraintsValid || !c.IsCA || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
			return nil, fmt.Errorf("holds a certificate that may issue no others, of %q: give that of its issuer",
				c.Subject)
		}
		if bits := weakRSA(c); bits > 0 {
			return nil, fmt.Errorf("holds an authority with an RSA key of %d bits, %q: at least %d are required, so "+
				"give an authority with another key", bits, c.Subject, minRSA)
		}
	}
	return out, nil
}

// minRSA is the minimal length of an authority's RSA key, in bits. Anyone that can factor the key
// of an authority can be any of its clients.
const minRSA = 2048

// weakRSA returns the length of the certificate's RSA key if it is below minRSA, and otherwise 0.
func weakRSA(c *x509.Certificate) int {
	if k, ok := c.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() < minRSA {
		return k.N.BitLen()
	}
	return 0
}

// checkChain refuses a client certificate if every chain to an authority contains an intermediate
// authority with a weak RSA key. Package caller checks the key of the client itself.
func checkChain(state tls.ConnectionState) error {
	var weak error
	for _, chain := range state.VerifiedChains {
		i := slices.IndexFunc(chain[1:], func(c *x509.Certificate) bool { return weakRSA(c) > 0 })
		if i < 0 {
			return nil
		}
		weak = fmt.Errorf("an authority of the client certificate has an RSA key of %d bits: at least %d are required",
			weakRSA(chain[1+i]), minRSA)
	}
	return weak
}

// cause returns an error without its path, which the message already names.
func cause(err error) error {
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		return at.Err
	}
	return err
}
