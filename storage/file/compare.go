package file

import (
	"strconv"

	"go.etcd.io/bbolt"

	"muster/grouping"
	"muster/storage/durable"
)

// compareStamps returns the header of the stored document, without its deletion, if the
// write can certainly be made to it. It compares the stamps of the records that the write
// changes, and decodes no record. So its cost depends on the change and not on the
// document. Otherwise it returns nil, and the caller must read the document: there may be
// a conflict, a newer head, or the same write.
func compareStamps(documents *bbolt.Bucket, w *grouping.Write, records []grouping.RecordWrite) *grouping.Header {
	if w.Next == nil || w.Base == nil || w.Base.IsTombstone() {
		return nil
	}
	id, base := string(w.ID()), w.Base.Header()
	get := func(name string) string { return string(documents.Get([]byte(id + name))) }
	head := stampOf(documents.Get([]byte(id + grouping.HeadRecord)))
	switch {
	case head == "", get(durable.FieldToken) == string(w.Stamp),
		head > w.Next.Header().Stamp, w.Exclusive && head != base.Stamp,
		grouping.Stamp(get(durable.FieldDeleted)) > base.Deleted:
		return nil
	}
	afterDeletion := func(s grouping.Stamp) grouping.Stamp {
		if s <= base.Deleted {
			return ""
		}
		return s
	}
	for _, r := range records {
		if afterDeletion(stampOf(documents.Get([]byte(id+r.Name)))) != afterDeletion(r.Expected) {
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
	return &grouping.Header{Stamp: head, Version: version, Notifications: notifications}
}

// stampOf returns the stamp of the text of a record, or "" if the text is too short to
// have one.
func stampOf(text []byte) grouping.Stamp {
	if len(text) < grouping.StampLen {
		return ""
	}
	return grouping.Stamp(text[:grouping.StampLen])
}
