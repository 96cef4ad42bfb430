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

	"muster/internal/person"
)

// Limits of the work for passwords that are not in the cache. One bcrypt
// comparison takes about 50 ms of one core by design.
const (
	// maxWaiting is the maximum number of requests that wait for a comparison.
	// At most maxWaitingPerAddress of them come from one address, so that a flood
	// from one address does not block senders at other addresses.
	maxWaiting           = 32
	maxWaitingPerAddress = 8
	// maxWait is how long a request waits for a comparison. It is shorter than
	// Alertmanager's own timeout.
	maxWait = 2 * time.Second
	// maxWrong is the maximum number of wrong passwords in the cache. Thanks to
	// the cache, a client that repeats a wrong password costs one comparison.
	maxWrong = 256
)

// unknownUser is the bcrypt hash of a text that nobody knows. The password of an
// unknown user is compared with it, so that the response time does not show
// which users exist.
const unknownUser = "$2a$10$Ze62Ql2LI2dsmlas9JTHlenPI9hc1oLUqwm32yKpu3G2kcxpXW0Im"

var (
	errWrongPassword = errors.New("wrong user or password")
	errBusy          = errors.New("too many concurrent password checks, try again")
)

// passwords checks passwords and caches the results. Right and wrong passwords
// have separate caches: wrong ones never evict right ones. So a flood of wrong
// passwords does not slow down senders with a known password. It is safe for
// concurrent use.
type passwords struct {
	comparing chan struct{} // its capacity is the maximum number of concurrent comparisons

	mu           sync.Mutex
	right        map[string][sha256.Size]byte   // guarded by mu; by user, the last right password
	wrong        map[[sha256.Size]byte]struct{} // guarded by mu
	waiting      map[string]int                 // guarded by mu; number of waiting requests by address
	totalWaiting int                            // guarded by mu
}

func newPasswords() *passwords {
	return &passwords{
		// Half of the cores stay free for notifications and pages.
		comparing: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		right:     map[string][sha256.Size]byte{}, wrong: map[[sha256.Size]byte]struct{}{}, waiting: map[string]int{},
	}
}

// verify compares a password with a user's hash. The hash is "" if the user is
// unknown. It returns errWrongPassword, or errBusy if the limits do not allow a
// comparison now.
func (p *passwords) verify(ctx context.Context, address, user, hash, password string) error {
	// The hash is part of the key, so that a changed password is a new entry.
	key := sha256.Sum256([]byte(user + "\x00" + hash + "\x00" + password))
	release, known, err := p.lookup(key, user, address)
	if known || err != nil {
		return err
	}
	defer release()
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
	toCompare := hash
	if hash == "" {
		toCompare = unknownUser
	}
	right := bcrypt.CompareHashAndPassword([]byte(toCompare), []byte(password)) == nil && hash != ""
	p.remember(key, user, right)
	if !right {
		return errWrongPassword
	}
	return nil
}

// lookup answers from the cache if the password is known. Otherwise it reserves a
// place among the waiting requests, which release gives back.
func (p *passwords) lookup(key [sha256.Size]byte, user, address string) (release func(), known bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if right, ok := p.right[user]; ok && right == key {
		return nil, true, nil
	}
	if _, ok := p.wrong[key]; ok {
		return nil, true, errWrongPassword
	}
	if p.totalWaiting >= maxWaiting || p.waiting[address] >= maxWaitingPerAddress {
		return nil, false, errBusy
	}
	p.totalWaiting++
	p.waiting[address]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.totalWaiting--
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
		for old := range p.wrong { // evict an arbitrary entry
			delete(p.wrong, old)
			break
		}
	}
	p.wrong[key] = struct{}{}
}

// authorize checks the user and the password of a request, if the config has
// users. The returned request then says who the user is.
func (s *Server) authorize(r *http.Request, c *settings) (*http.Request, error) {
	if len(c.Users) == 0 {
		return r, nil
	}
	user, password, ok := r.BasicAuth()
	if !ok {
		return nil, errWrongPassword
	}
	if err := s.passwords.verify(r.Context(), hostOf(r.RemoteAddr), user, string(c.Users[user]), password); err != nil {
		return nil, err
	}
	return r.WithContext(person.WithUser(r.Context(), user)), nil
}

func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}
