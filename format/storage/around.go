package storage

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// Surroundings are the devices and files that share storage with a device or file.
type surroundings struct {
	loops  loopDevices
	above  []layer // what is stacked on it; each after all that is stacked on itself
	beside []layer // what is stacked on something below it, on the same bytes; in the same order
	below  []layer // what it stands on, from the top down
}

// around finds what shares storage with id.
func around(id ID) (surroundings, error) {
	loops, err := loopsByBacking()
	if err != nil {
		return surroundings{}, err
	}
	s := surroundings{loops: loops}
	if s.above, err = aboveWith(loops, id); err != nil {
		return s, err
	}
	v := newSurvey()
	own, err := v.storageOf(id, everything, nil)
	if err != nil {
		return s, err
	}
	seen := map[ID]bool{id: true}
	for _, l := range s.above {
		seen[l.id] = true
	}
	for _, below := range own.below() {
		seen[below] = true
		s.below = append(s.below, layer{id: below, name: s.nameOf(below), kind: base})
	}
	for _, below := range own.below() {
		others, err := aboveWith(loops, below)
		if err != nil {
			return s, err
		}
		others = slices.DeleteFunc(others, func(l layer) bool { return seen[l.id] })
		for _, l := range others {
			seen[l.id] = true
			theirs, err := v.storageOf(l.id, everything, nil)
			if err != nil && l.id.Exists() {
				return s, err
			}
			if err == nil && own.Overlaps(theirs) {
				s.beside = append(s.beside, l)
			}
		}
	}
	return s, nil
}

// nameOf is the kernel's name of a device, or the name of the file behind a loop device, as far as
// it still leads there.
func (s surroundings) nameOf(id ID) string {
	if id.Device {
		return id.Name()
	}
	for _, l := range s.loops.on[id] {
		name := backingName(l.id)
		if now, err := Identify(name); err == nil && now == id {
			return name
		}
	}
	return id.String()
}

// claims finds devices around that somebody has claimed for its own use, where nothing that is seen
// explains it.
func (s surroundings) claims(known []User) []User {
	explained := make(map[string]bool)
	for _, u := range known {
		explained[u.Via] = explained[u.Via] || u.Kind == Mounted || u.Kind == Swap
	}
	var users []User
	look := func(l layer, via string) {
		if !explained[via] && isClaimed(l) {
			users = append(users, User{Kind: Claimed, Via: via, ReadOnly: l.readOnly()})
		}
	}
	for _, l := range s.below {
		look(l, l.beneath())
	}
	for _, l := range s.beside {
		look(l, l.onTheSame())
	}
	return users
}

// isClaimed tells whether a device is claimed. One that others are made of is by these, which have
// been looked at, and one that nobody can open is not as far as anybody can tell.
func isClaimed(l layer) bool {
	if !l.id.Device {
		return false
	}
	if others, err := directlyAbove(l.id); err != nil || len(others) > 0 {
		return false
	}
	return errors.Is(probe(l.id.Path()), unix.EBUSY)
}
