package file

import (
	"strconv"

	"go.etcd.io/bbolt"

	"muster/grouping"
	"muster/storage/durable"
)

// compareStamps returns the stored state of a group, with its stamp and counters only, if
// the change can certainly be made to it. It compares the stamps of the records that the
// change writes, and decodes no record. So its cost depends on the change and not on the
// group. Otherwise it returns nil, and the caller must read the group: there may be a
// conflict, a newer head, or the same write.
func compareStamps(groups *bbolt.Bucket, c *grouping.Change, records []grouping.RecordWrite) *grouping.AlertGroup {
	if c.Group == nil || c.Base == nil || c.Base.IsTombstone() {
		return nil
	}
	id := string(c.ID())
	get := func(name string) string { return string(groups.Get([]byte(id + name))) }
	head := stampOf(groups.Get([]byte(id + grouping.HeadRecord)))
	switch {
	case head == "", get(durable.FieldToken) == string(c.Stamp),
		head > c.Group.Stamp, c.Exclusive && head != c.Base.Stamp,
		grouping.Stamp(get(durable.FieldDeleted)) > c.Base.Deleted:
		return nil
	}
	afterDeletion := func(s grouping.Stamp) grouping.Stamp {
		if s <= c.Base.Deleted {
			return ""
		}
		return s
	}
	for _, w := range records {
		if afterDeletion(stampOf(groups.Get([]byte(id+w.Name)))) != afterDeletion(w.Expected) {
			return nil
		}
	}
	version, err := strconv.ParseInt(get(durable.FieldVersion), 10, 64)
	if err != nil {
		return nil
	}
	notifications, err := strconv.ParseInt(get(durable.FieldNotifications), 10, 64)
	if err != nil {
		return nil
	}
	return &grouping.AlertGroup{
		ID: c.ID(), Meta: grouping.Meta{Stamp: head}, Version: version, Notifications: notifications,
	}
}

// stampOf returns the stamp of the text of a record, or "" if the text is too short to
// have one.
func stampOf(text []byte) grouping.Stamp {
	if len(text) < grouping.StampLen {
		return ""
	}
	return grouping.Stamp(text[:grouping.StampLen])
}
