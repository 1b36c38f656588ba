package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"

	"github.com/vmware/govmomi/simulator"
)

// installed is how a disk begins that a guest is installed on: what the guest is follows, as JSON on one line.
const installed = "hyperkit guest "

// boot begins the guest on a VM's first bootable disk. Without one, the guest stays what tests made it.
func (s *simulation) boot(vm *simulator.VirtualMachine) {
	for _, disk := range disksOf(vm.Config.Hardware.Device) {
		where, fault := located(flat(disk).FileName)
		d, ok := readVMDK(where)
		if fault != nil || !ok {
			continue
		}
		file, err := os.Open(flattened(where, d))
		if err != nil {
			continue
		}
		head, _ := io.ReadAll(io.LimitReader(file, 4096))
		_ = file.Close()
		line, _, _ := bytes.Cut(head, []byte("\n"))
		if !bytes.HasPrefix(line, []byte(installed)) {
			continue
		}
		fresh := newBackstage().guest
		if json.Unmarshal(line[len(installed):], &fresh) == nil {
			s.behind(vm).guest = fresh
			return
		}
	}
}
