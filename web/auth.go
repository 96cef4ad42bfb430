package web

import (
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// The bounds of the work for passwords that are not known to be right. One
// comparison takes some 50 ms of a core by design.
const (
	// maxWaiting bounds the requests that wait for a comparison, of them
	// maxWaitingPerAddress from one address: a flood from one does not keep a
	// sender at another out.
	maxWaiting           = 32
	maxWaitingPerAddress = 8
	// maxWait is how long one waits: Alertmanager's own patience is longer.
	maxWait = 2 * time.Second
	// maxWrong bounds the wrong passwords that are remembered, so that a sender
	// that repeats one costs one comparison.
	maxWrong = 256
)

// unknownUser is compared with if there is no such user, so that the time tells
// nothing: the bcrypt hash of a text that nobody knows.
const unknownUser = "$2a$10$Ze62Ql2LI2dsmlas9JTHlenPI9hc1oLUqwm32yKpu3G2kcxpXW0Im"

var (
	errWrongPassword = errors.New("wrong user or password")
	errBusy          = errors.New("too many unknown passwords at once, try again")
)

// passwords tells right passwords from wrong ones. Right ones are remembered
// apart from wrong ones and are never evicted by them, so a flood of wrong
// passwords costs a sender that is known nothing.
type passwords struct {
	comparing chan struct{} // one per comparison that may run

	mu      sync.Mutex
	right   map[string][sha256.Size]byte   // guarded by mu; the last of each user
	wrong   map[[sha256.Size]byte]struct{} // guarded by mu
	waiting map[string]int                 // guarded by mu; by address
	total   int                            // guarded by mu; waiting
}

func newPasswords() *passwords {
	return &passwords{
		// Half of the cores are left for the work itself.
		comparing: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		right:     map[string][sha256.Size]byte{}, wrong: map[[sha256.Size]byte]struct{}{}, waiting: map[string]int{},
	}
}

// check compares a password with a user's hash, which is "" if there is no such
// user. It returns errWrongPassword, or errBusy if that is not known in time.
func (p *passwords) check(ctx context.Context, address, user, hash, password string) error {
	// The hash is part of the key: a changed password is another entry.
	key := sha256.Sum256([]byte(user + "\x00" + hash + "\x00" + password))
	leave, known, err := p.enter(key, user, address)
	if known || err != nil {
		return err
	}
	defer leave()
	wait := time.NewTimer(maxWait)
	defer wait.Stop()
	select {
	case p.comparing <- struct{}{}:
		defer func() { <-p.comparing }()
	case <-wait.C:
		return errBusy
	case <-ctx.Done():
		return errBusy
	}
	compared := hash
	if hash == "" {
		compared = unknownUser
	}
	right := bcrypt.CompareHashAndPassword([]byte(compared), []byte(password)) == nil && hash != ""
	p.remember(key, user, right)
	if !right {
		return errWrongPassword
	}
	return nil
}

// enter answers from memory if the password is known to be right or wrong, else
// it takes a place among those that wait.
func (p *passwords) enter(key [sha256.Size]byte, user, address string) (leave func(), known bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if right, ok := p.right[user]; ok && right == key {
		return nil, true, nil
	}
	if _, ok := p.wrong[key]; ok {
		return nil, true, errWrongPassword
	}
	if p.total >= maxWaiting || p.waiting[address] >= maxWaitingPerAddress {
		return nil, false, errBusy
	}
	p.total++
	p.waiting[address]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.total--
		if p.waiting[address]--; p.waiting[address] == 0 {
			delete(p.waiting, address)
		}
	}, false, nil
}

func (p *passwords) remember(key [sha256.Size]byte, user string, right bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if right {
		p.right[user] = key
		return
	}
	if len(p.wrong) >= maxWrong {
		for old := range p.wrong { // any one
			delete(p.wrong, old)
			break
		}
	}
	p.wrong[key] = struct{}{}
}

// authorize asks for a user and a password, if the config has users.
func (s *Server) authorize(r *http.Request, c *settings) error {
	if len(c.Users) == 0 {
		return nil
	}
	user, password, ok := r.BasicAuth()
	if !ok {
		return errWrongPassword
	}
	return s.passwords.check(r.Context(), host(r.RemoteAddr), user, string(c.Users[user]), password)
}

func host(address string) string {
	if h, _, err := net.SplitHostPort(address); err == nil {
		return h
	}
	return address
}
