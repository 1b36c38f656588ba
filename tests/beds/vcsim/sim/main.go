// A vSphere simulator for hyperkit's tests: govmomi's, made stricter, with a second port by which tests control it.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/vmware/govmomi/simulator"
)

type announcement struct {
	URL        string            `json:"url"`
	Control    string            `json:"control"`
	CA         string            `json:"ca"`
	Thumbprint string            `json:"thumbprint"`
	Datastores map[string]string `json:"datastores"`
}

func main() {
	kind := flag.String("model", "esx", "esx or vcenter")
	directory := flag.String("directory", "", "where the authority's certificate goes")
	user := flag.String("user", "root", "who may log in")
	listen := flag.String("listen", "127.0.0.1:0", "address of the server")
	verbose := flag.Bool("verbose", false, "log to standard error")
	machines := flag.Int("machines", 2, "virtual machines, per pool")
	autostart := flag.Bool("autostart", true, "start the machines")
	datastores := flag.Int("datastores", 1, "datastores")
	datacenters := flag.Int("datacenters", 1, "datacenters (vcenter)")
	hosts := flag.Int("hosts", 1, "standalone hosts per datacenter (vcenter)")
	clusters := flag.Int("clusters", 1, "clusters per datacenter (vcenter)")
	clusterHosts := flag.Int("cluster-hosts", 3, "hosts per cluster (vcenter)")
	portgroups := flag.Int("portgroups", 1, "distributed port groups per datacenter (vcenter)")
	flag.Parse()
	if !*verbose {
		log.SetOutput(io.Discard)
	}

	model := simulator.ESX()
	if *kind == "vcenter" {
		model = simulator.VPX()
		model.Datacenter, model.Host = *datacenters, *hosts
		model.Cluster, model.ClusterHost, model.Portgroup = *clusters, *clusterHosts, *portgroups
	}
	model.Machine, model.Datastore, model.Autostart = *machines, *datastores, *autostart
	must(model.Create())
	defer model.Remove()

	identity, err := newIdentity(*directory)
	must(err)
	model.Service.TLS = &tls.Config{Certificates: []tls.Certificate{identity.certificate}}
	// The password comes by the environment: command lines are for everyone to read.
	model.Service.Listen = &url.URL{Host: *listen, User: url.UserPassword(*user, os.Getenv("VCSIM_PASSWORD"))}
	server := model.Service.NewServer()
	defer server.CloseClientConnections()

	sim := newSimulation(server)
	control, err := serveControl(sim)
	must(err)
	address := *server.URL
	address.User = nil
	must(json.NewEncoder(os.Stdout).Encode(announcement{
		URL: address.String(), Control: control, CA: identity.authorityFile,
		Thumbprint: identity.thumbprint, Datastores: datastoreDirectories(),
	}))
	waitForEnd()
}

// waitForEnd returns at SIGTERM, and when standard input ends: whoever started this is gone.
func waitForEnd() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		end <- syscall.SIGTERM
	}()
	<-end
}

func must(err error) {
	if err != nil {
		log.SetOutput(os.Stderr)
		log.Fatal(err)
	}
}
