package main

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/vmware/govmomi/vim25/types"
)

// vmdk is what a virtual disk's descriptor file says. The data lie beside it, in a sparse file.
type vmdk struct {
	capacity int64 // bytes
	thin     bool
	eager    bool   // zeroed when it was made
	uuid     string // of the contents: a child has its parent's, a copy its own
	parent   string // file name or datastore path of the disk that this one continues
	extent   string
	guest    string // what boots from it; copies boot the same
}

const sector = 512

func (d vmdk) write(f file) error {
	kind := "vmfs"
	if d.parent != "" {
		kind = "vmfsSparse"
	}
	var text strings.Builder
	fmt.Fprintf(&text, "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\ncreateType=\"%s\"\n", kind)
	if d.parent != "" {
		fmt.Fprintf(&text, "parentFileNameHint=\"%s\"\n", d.parent)
	}
	fmt.Fprintf(&text, "\n# Extent description\nRW %d VMFS \"%s\"\n\n# The Disk Data Base\n", d.capacity/sector, d.extent)
	fmt.Fprintf(&text, "ddb.uuid = \"%s\"\n", d.uuid)
	if d.thin {
		fmt.Fprint(&text, "ddb.thinProvisioned = \"1\"\n")
	}
	if d.eager {
		fmt.Fprint(&text, "ddb.eagerlyScrubbed = \"1\"\n")
	}
	if d.guest != "" {
		fmt.Fprintf(&text, "ddb.simulatedGuest = \"%s\"\n", d.guest)
	}
	return os.WriteFile(f.real, []byte(text.String()), 0600)
}

// readVMDK reads a descriptor; false for what is none.
func readVMDK(f file) (vmdk, bool) {
	var d vmdk
	in, err := os.Open(f.real)
	if err != nil {
		return d, false
	}
	defer in.Close()
	lines := bufio.NewScanner(io.LimitReader(in, 64<<10))
	first := true
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if first && line != "# Disk DescriptorFile" {
			return d, false
		}
		first = false
		if words := strings.Fields(line); len(words) >= 4 && words[0] == "RW" {
			sectors, _ := strconv.ParseInt(words[1], 10, 64)
			d.capacity = sectors * sector
			d.extent = line[strings.Index(line, `"`)+1 : strings.LastIndex(line, `"`)]
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.TrimSpace(key) {
		case "parentFileNameHint":
			d.parent = value
		case "ddb.uuid":
			d.uuid = value
		case "ddb.thinProvisioned":
			d.thin = value == "1"
		case "ddb.simulatedGuest":
			d.guest = value
		case "ddb.eagerlyScrubbed":
			d.eager = value == "1"
		}
	}
	return d, d.extent != ""
}

// used is the space that a disk takes in its datastore.
func (d vmdk) used(f file) int64 {
	if !d.thin && d.parent == "" {
		return d.capacity
	}
	if info, err := os.Stat(f.beside(d.extent).real); err == nil {
		return info.Sys().(*syscall.Stat_t).Blocks * sector
	}
	return 0
}

func extentName(f file, child bool) string {
	kind := "-flat.vmdk"
	if child {
		kind = "-delta.vmdk"
	}
	name := f.Path[strings.LastIndex(f.Path, "/")+1:]
	return strings.TrimSuffix(name, ".vmdk") + kind
}

// create makes a disk's files.
func (d vmdk) create(f file) types.BaseMethodFault {
	if !strings.HasSuffix(f.Path, ".vmdk") {
		return &types.InvalidArgument{InvalidProperty: "name"}
	}
	if d.capacity <= 0 || d.capacity%sector != 0 {
		return &types.InvalidArgument{InvalidProperty: "capacity"}
	}
	if f.taken() {
		return alreadyThere(f)
	}
	d.extent = extentName(f, d.parent != "")
	if d.uuid == "" {
		d.uuid = newDiskUUID()
	}
	if err := os.WriteFile(f.beside(d.extent).real, nil, 0600); err != nil {
		return notFound(f) // the directory is missing
	}
	if fault := charge(f.datastore, d.used(f)); fault != nil {
		_ = os.Remove(f.beside(d.extent).real)
		return fault
	}
	if err := os.Truncate(f.beside(d.extent).real, d.capacity); err != nil {
		return &types.FileFault{File: f.String()}
	}
	if err := d.write(f); err != nil {
		return &types.FileFault{File: f.String()}
	}
	return nil
}

func deleteVMDK(f file) types.BaseMethodFault {
	d, ok := readVMDK(f)
	if !ok {
		return notFound(f)
	}
	_ = charge(f.datastore, -d.used(f))
	_ = os.Remove(f.beside(d.extent).real)
	_ = os.Remove(f.real)
	return nil
}

// copyVMDK copies a disk; change is applied to what is written.
func copyVMDK(from, to file, change func(*vmdk)) types.BaseMethodFault {
	source, ok := readVMDK(from)
	if !ok {
		return notFound(from)
	}
	base, bottom := flattened(from, source)
	target := source
	target.uuid, target.parent, target.extent, target.guest = "", "", "", bottom.guest
	change(&target)
	if fault := target.create(to); fault != nil {
		return fault
	}
	if err := copySparse(base.beside(bottom.extent).real, to.beside(extentName(to, false)).real); err != nil {
		_ = deleteVMDK(to)
		return &types.FileFault{File: to.String()}
	}
	return nil
}

// flattened is the disk at the bottom of a chain: nothing here is ever written to those above it.
func flattened(f file, d vmdk) (file, vmdk) {
	for d.parent != "" {
		parent, fault := parentOf(f, d)
		next, ok := readVMDK(parent)
		if fault != nil || !ok {
			break
		}
		f, d = parent, next
	}
	return f, d
}

func parentOf(f file, d vmdk) (file, types.BaseMethodFault) {
	if strings.HasPrefix(d.parent, "[") {
		return located(d.parent)
	}
	return f.beside(d.parent), nil
}

const (
	seekData = 3
	seekHole = 4
)

// copySparse copies what is in a file, not its holes, into one that is there and as long.
func copySparse(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY, 0600)
	if err != nil {
		return err
	}
	defer out.Close()
	for position := int64(0); ; {
		start, err := in.Seek(position, seekData)
		if err != nil {
			return nil // no more data
		}
		end, err := in.Seek(start, seekHole)
		if err != nil {
			return err
		}
		if _, err = out.Seek(start, io.SeekStart); err != nil {
			return err
		}
		if _, err = io.Copy(out, io.NewSectionReader(in, start, end-start)); err != nil {
			return err
		}
		position = end
	}
}

// resize makes a disk larger.
func resizeVMDK(f file, capacity int64) types.BaseMethodFault {
	d, ok := readVMDK(f)
	if !ok {
		return notFound(f)
	}
	if capacity < d.capacity {
		return &types.InvalidArgument{InvalidProperty: "newCapacityKb"}
	}
	before := d.used(f)
	d.capacity = capacity
	if fault := charge(f.datastore, d.used(f)-before); fault != nil {
		return fault
	}
	if os.Truncate(f.beside(d.extent).real, capacity) != nil || d.write(f) != nil {
		return &types.FileFault{File: f.String()}
	}
	return nil
}

// newDiskUUID is one as vSphere writes those of disks.
func newDiskUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[0], b[1], b[2], b[3] = 0x60, 0x00, 0xc2, 0x90|b[3]&0x0f
	return fmt.Sprintf("% x-% x", b[:8], b[8:])
}
