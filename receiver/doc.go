// Package receiver is the way in: it admits and decodes what Alertmanager posts, and
// gives it to the domain.
package receiver
