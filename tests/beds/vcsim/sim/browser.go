package main

import (
	"io/fs"
	"os"
	"path"
	"sort"
	"strings"
	"syscall"

	"github.com/vmware/govmomi/vim25/types"
)

func init() {
	works["HostDatastoreBrowser.SearchDatastore_Task"] = searchDatastore
	works["HostDatastoreBrowser.SearchDatastoreSubFolders_Task"] = searchSubFolders
}

func searchDatastore(c *call) (types.AnyType, types.BaseMethodFault) {
	body := c.body.(*types.SearchDatastore_Task)
	where, fault := directory(body.DatastorePath)
	if fault != nil {
		return nil, fault
	}
	return search(where, body.DatastorePath, body.SearchSpec), nil
}

func searchSubFolders(c *call) (types.AnyType, types.BaseMethodFault) {
	body := c.body.(*types.SearchDatastoreSubFolders_Task)
	where, fault := directory(body.DatastorePath)
	if fault != nil {
		return nil, fault
	}
	var results types.ArrayOfHostDatastoreBrowserSearchResults
	var descend func(where file, shown string)
	descend = func(where file, shown string) {
		results.HostDatastoreBrowserSearchResults = append(results.HostDatastoreBrowserSearchResults,
			search(where, shown, body.SearchSpec))
		entries, _ := os.ReadDir(where.real)
		for _, entry := range entries {
			if entry.IsDir() {
				below := where.within(entry.Name())
				descend(below, below.String()+"/")
			}
		}
	}
	descend(where, body.DatastorePath)
	return results, nil
}

func directory(text string) (file, types.BaseMethodFault) {
	where, fault := located(text)
	if fault != nil {
		return where, fault
	}
	if info, err := os.Stat(where.real); err != nil || !info.IsDir() {
		return where, notFound(where)
	}
	return where, nil
}

func search(where file, shown string, spec *types.HostDatastoreBrowserSearchSpec) types.HostDatastoreBrowserSearchResults {
	if spec == nil {
		spec = &types.HostDatastoreBrowserSearchSpec{}
	}
	results := types.HostDatastoreBrowserSearchResults{Datastore: &where.datastore.Self, FolderPath: shown}
	entries, _ := os.ReadDir(where.real)
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !matches(entry.Name(), spec) {
			continue
		}
		if query, wanted := queried(info, spec); wanted {
			results.File = append(results.File, described(where.within(entry.Name()), info, spec.Details, query))
		}
	}
	return results
}

func matches(name string, spec *types.HostDatastoreBrowserSearchSpec) bool {
	if len(spec.MatchPattern) == 0 {
		return true
	}
	for _, pattern := range spec.MatchPattern {
		if isTrue(spec.SearchCaseInsensitive) {
			pattern, name = strings.ToLower(pattern), strings.ToLower(name)
		}
		if ok, _ := path.Match(pattern, name); ok {
			return true
		}
	}
	return false
}

func isExtent(name string) bool {
	return strings.HasSuffix(name, "-flat.vmdk") || strings.HasSuffix(name, "-delta.vmdk")
}

// queried is the query that asks for such a file; none where any file is wanted.
func queried(info fs.FileInfo, spec *types.HostDatastoreBrowserSearchSpec) (types.BaseFileQuery, bool) {
	extension := path.Ext(info.Name())
	for _, query := range spec.Query {
		var found bool
		switch query.(type) {
		case *types.FolderFileQuery:
			found = info.IsDir()
		case *types.VmDiskFileQuery:
			found = extension == ".vmdk" && !isExtent(info.Name())
		case *types.IsoImageFileQuery:
			found = extension == ".iso"
		case *types.FloppyImageFileQuery:
			found = extension == ".flp" || extension == ".img"
		case *types.VmConfigFileQuery:
			found = extension == ".vmx"
		case *types.VmLogFileQuery:
			found = extension == ".log"
		case *types.VmNvramFileQuery:
			found = extension == ".nvram"
		case *types.VmSnapshotFileQuery:
			found = extension == ".vmsn"
		case *types.FileQuery:
			found = true
		}
		if found && !(info.IsDir() && extension != "" && nameOf(query) != "FolderFileQuery" && nameOf(query) != "FileQuery") {
			return query, true
		}
	}
	return nil, len(spec.Query) == 0
}

// described is what is told of a file: the kind only where it was asked for.
func described(where file, info fs.FileInfo, details *types.FileQueryFlags, query types.BaseFileQuery) types.BaseFileInfo {
	if details == nil {
		details = &types.FileQueryFlags{}
	}
	shown := types.FileInfo{Path: path.Base(where.Path)}
	d, disk := readVMDK(where)
	disk = disk && path.Ext(where.Path) == ".vmdk"
	if details.FileSize {
		shown.FileSize = info.Size()
		if disk {
			shown.FileSize = d.used(where)
			if shown.FileSize == 0 { // of a thin disk that nothing was written to; the library leaves a zero out
				shown.FileSize = info.Size()
			}
		} else if isExtent(where.Path) {
			shown.FileSize = info.Sys().(*syscall.Stat_t).Blocks * sector
		}
	}
	if details.Modification {
		changed := info.ModTime().UTC()
		shown.Modification = &changed
	}
	if isTrue(details.FileOwner) {
		shown.Owner = "root"
	}
	typed := details.FileType || query != nil && nameOf(query) != "FileQuery"
	switch {
	case !typed:
		return &shown
	case info.IsDir():
		return &types.FolderFileInfo{FileInfo: shown}
	case disk:
		wanted, _ := query.(*types.VmDiskFileQuery)
		return diskInfo(shown, d, wanted)
	case path.Ext(where.Path) == ".iso":
		return &types.IsoImageFileInfo{FileInfo: shown}
	case path.Ext(where.Path) == ".vmx":
		return &types.VmConfigFileInfo{FileInfo: shown}
	case path.Ext(where.Path) == ".log":
		return &types.VmLogFileInfo{FileInfo: shown}
	case path.Ext(where.Path) == ".nvram":
		return &types.VmNvramFileInfo{FileInfo: shown}
	case path.Ext(where.Path) == ".vmsn":
		return &types.VmSnapshotFileInfo{FileInfo: shown}
	}
	return &shown
}

// diskInfo tells of a disk what the query's own flags ask for.
func diskInfo(shown types.FileInfo, d vmdk, query *types.VmDiskFileQuery) types.BaseFileInfo {
	info := &types.VmDiskFileInfo{FileInfo: shown}
	if query == nil || query.Details == nil {
		return info
	}
	if query.Details.CapacityKb {
		info.CapacityKb = d.capacity / 1024
	}
	if query.Details.DiskType {
		info.DiskType = "VirtualDiskFlatVer2BackingInfo"
	}
	if isTrue(query.Details.Thin) {
		info.Thin = types.NewBool(d.thin)
	}
	if query.Details.HardwareVersion {
		info.HardwareVersion = 13
	}
	if extents := query.Details.DiskExtents; isTrue(extents) {
		info.DiskExtents = []string{d.extent}
	}
	return info
}
