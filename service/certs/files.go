package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Files are the PEM files of a server.
type Files struct {
	// Certificate holds the server's certificate, and after it those that lead to a
	// root; Key holds its private key. They may be the same file.
	Certificate, Key string
	// ClientCA holds the certificates of those who issue clients' certificates;
	// empty: clients are asked for none.
	ClientCA string
}

// Check reports, by the keys certificate, key and client_ca, what keeps the files
// from being served with. A file that isn't named is left out. Dates are no fault:
// they pass by themselves.
func (f Files) Check(report func(key, message string)) {
	_, faults := f.read().parse()
	for _, fault := range faults {
		report(fault.key, fault.message)
	}
}

// Certificate is one of those that stand in the files.
type Certificate struct {
	// Key is that of the file: certificate or client_ca.
	Key, Path string
	*x509.Certificate
}

// Certificates lists all that stand in the files, the server's own first, whether their
// dates are good or not. What can't be read is left out: Check tells of it.
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
			all = append(all, Certificate{file.key, file.path, c})
		}
	}
	return all
}

// fault is what is wrong with one of the files.
type fault struct{ key, path, message string }

// Error implements error.
func (f *fault) Error() string { return fmt.Sprintf("tls.%s: %s %s", f.key, f.path, f.message) }

func joined(faults []*fault) error {
	errs := make([]error, len(faults))
	for i, f := range faults {
		errs[i] = f
	}
	return errors.Join(errs...)
}

// file is one as it was read.
type file struct {
	key, path string
	text      []byte
	err       error
}

// contents are all the files at about the same moment.
type contents struct{ certificate, key, clientCA file }

func (f Files) read() contents {
	c := contents{
		certificate: file{key: "certificate", path: f.Certificate},
		key:         file{key: "key", path: f.Key},
		clientCA:    file{key: "client_ca", path: f.ClientCA},
	}
	for _, file := range []*file{&c.certificate, &c.key, &c.clientCA} {
		if file.path != "" {
			file.text, file.err = os.ReadFile(file.path)
		}
	}
	return c
}

// digest tells whether anything has changed, without keeping the key about.
func (c contents) digest() [sha256.Size]byte {
	h := sha256.New()
	for _, f := range []file{c.certificate, c.key, c.clientCA} {
		fmt.Fprintf(h, "%d %v\n", len(f.text), f.err)
		h.Write(f.text)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// parse makes a set of the files, or says everything that is wrong with them.
func (c contents) parse() (*set, []*fault) {
	out := &set{digest: c.digest()}
	var faults []*fault
	complain := func(f file, message string, details ...any) {
		faults = append(faults, &fault{f.key, f.path, fmt.Sprintf(message, details...)})
	}
	for _, f := range []file{c.certificate, c.key, c.clientCA} {
		if f.err != nil {
			complain(f, "can't be read: %v", cause(f.err))
		}
	}
	if f := c.certificate; f.text != nil {
		chain, err := certificates(f.text)
		if err != nil {
			complain(f, "%v", err)
		} else if pair, err := tls.X509KeyPair(f.text, c.key.text); err == nil {
			out.pair, out.leaf = pair, chain[0]
			out.note(f.path, chain)
		} else if c.key.text != nil {
			complain(c.key, "isn't the private key of certificate, in PEM form: %v", err)
		}
	}
	if f := c.clientCA; f.text != nil {
		authorities, err := authorities(f.text)
		if err != nil {
			complain(f, "%v", err)
		}
		out.clients = x509.NewCertPool()
		for _, a := range authorities {
			out.clients.AddCert(a)
		}
		out.note(f.path, authorities)
	}
	return out, faults
}

// certificates reads all that a file holds. A block that has an end missing, as while
// a file is being written, is an error: the decoder would pass over it in silence.
func certificates(text []byte) (out []*x509.Certificate, err error) {
	begun := bytes.Count(text, []byte("-----BEGIN "))
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		begun--
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("holds a certificate that can't be read, the %d. of them: %w", len(out)+1, err)
		}
		out = append(out, c)
	}
	switch {
	case len(out) == 0:
		return nil, errors.New("holds no certificate in PEM form")
	case begun > 0:
		return nil, errors.New("holds a block that isn't PEM, or isn't all there")
	}
	return out, nil
}

// authorities reads a file in which there may be nothing but certificates of those
// who may issue others (RFC 5280, sections 4.2.1.9 and 4.2.1.3). Anything else in it
// would be ignored for ever, or, being the authority's key, should be elsewhere.
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
	}
	return out, nil
}

// cause is an error without the path, which stands before it already.
func cause(err error) error {
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		return at.Err
	}
	return err
}
