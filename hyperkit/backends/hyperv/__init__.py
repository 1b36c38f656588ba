"""Microsoft Hyper-V, over WS-Management with pywinrm. So far: the way to it (`hyperkit.backends.hyperv.wsman`)."""
