package deploy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// grace is the time for requests in flight after the drain. It is the default of
// service.Options.Grace, which `deskmint serve` uses.
const grace = 10 * time.Second

// TestRules checks every case against the rules for a workload with secrets. It also checks that
// objects that refer to each other agree, which types can't express.
func TestRules(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, fault := range faults(t, decodeCase(t, c.name)) {
				t.Error(fault)
			}
		})
	}
}

// faults returns the rules that o breaks.
func faults(t *testing.T, o objects) (out []string) {
	t.Helper()
	report := func(ok bool, format string, args ...any) {
		if !ok {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	pod := o.pod(t)
	checkSecurity(pod, report)
	checkProbes(pod.Containers[0], report)
	checkTermination(t, pod, report)
	checkVolumes(pod, report)
	checkSelectors(t, o, report)
	checkAvailability(t, o, report)
	for _, p := range objectsOf[*networking.NetworkPolicy](o) {
		checkNetworkPolicy(p, report)
	}
	return out
}

type reporter = func(ok bool, format string, args ...any)

// is reports whether p points to want.
func is[T comparable](p *T, want T) bool { return p != nil && *p == want }

// checkSecurity checks the restricted Pod Security Standard of Kubernetes, and that the root file
// system is read-only.
func checkSecurity(pod core.PodSpec, report reporter) {
	s := pod.SecurityContext
	if s == nil {
		report(false, "the pod has no security context")
		return
	}
	report(is(s.RunAsNonRoot, true), "the pod may run as root")
	report(s.RunAsUser == nil || *s.RunAsUser > 0, "the pod runs as root")
	report(s.SeccompProfile != nil && s.SeccompProfile.Type == core.SeccompProfileTypeRuntimeDefault,
		"the pod may make any system call")
	report(is(pod.AutomountServiceAccountToken, false), "the pod has the default token")
	report(is(pod.EnableServiceLinks, false), "the pod's environment lists other services")
	report(!pod.HostNetwork && !pod.HostPID && !pod.HostIPC, "the pod shares the host's namespaces")
	for _, v := range pod.Volumes {
		report(v.HostPath == nil, "the volume %s is the host's", v.Name)
	}
	for _, c := range append(pod.InitContainers, pod.Containers...) {
		s := c.SecurityContext
		if s == nil {
			report(false, "%s has no security context", c.Name)
			continue
		}
		report(is(s.AllowPrivilegeEscalation, false), "%s may gain privileges", c.Name)
		report(!is(s.Privileged, true), "%s is privileged", c.Name)
		report(is(s.ReadOnlyRootFilesystem, true), "%s may write to its root", c.Name)
		report(s.Capabilities != nil && slices.Contains(s.Capabilities.Drop, "ALL") && len(s.Capabilities.Add) == 0,
			"%s has capabilities", c.Name)
		report(s.RunAsNonRoot == nil && s.RunAsUser == nil && s.SeccompProfile == nil, "%s overrules the pod", c.Name)
		report(!c.Resources.Requests.Cpu().IsZero() && !c.Resources.Requests.Memory().IsZero(),
			"%s requests no CPU or memory", c.Name)
		report(!c.Resources.Limits.Memory().IsZero(), "%s may use up the node's memory", c.Name)
		report(strings.Contains(c.Image, "@sha256:") || strings.Contains(c.Image, ":") &&
			!strings.HasSuffix(c.Image, ":latest"), "the image %s may be any", c.Image)
	}
}

// checkProbes checks that the readiness probe depends on the store, and that the startup and
// liveness probes don't.
func checkProbes(c core.Container, report reporter) {
	for _, probe := range []struct {
		name, path string
		*core.Probe
	}{
		{"startup", "/healthz", c.StartupProbe},
		{"liveness", "/healthz", c.LivenessProbe},
		{"readiness", "/readyz", c.ReadinessProbe},
	} {
		if probe.Probe == nil || probe.HTTPGet == nil {
			report(false, "there is no %s probe over HTTP", probe.name)
			continue
		}
		report(probe.HTTPGet.Path == probe.path, "the %s probe requests %s, want %s", probe.name, probe.HTTPGet.Path,
			probe.path)
		report(probe.HTTPGet.Port == intstr.FromString("ops"), "the %s probe uses port %s, want ops", probe.name,
			probe.HTTPGet.Port.String())
		report(hasPort(c, probe.HTTPGet.Port), "the %s probe's port isn't the container's", probe.name)
	}
}

// checkTermination checks that a pod has enough time to end in order.
func checkTermination(t *testing.T, pod core.PodSpec, report reporter) {
	t.Helper()
	c := pod.Containers[0]
	i := slices.Index(c.Args, "--drain")
	if i < 0 || i+1 == len(c.Args) {
		report(false, "no --drain among %v", c.Args)
		return
	}
	drain, err := time.ParseDuration(c.Args[i+1])
	if err != nil {
		t.Fatal(err)
	}
	least := drain + grace
	if c.Lifecycle != nil && c.Lifecycle.PreStop != nil && c.Lifecycle.PreStop.Sleep != nil {
		least += time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	}
	report(pod.TerminationGracePeriodSeconds != nil &&
		time.Duration(*pod.TerminationGracePeriodSeconds)*time.Second > least,
		"the pod is killed after %v s, and its end takes %v", pod.TerminationGracePeriodSeconds, least)
}

// checkVolumes checks that each mount has a volume, and that each volume is mounted. A mount of a
// single file is a fault, because it doesn't follow a change of its ConfigMap.
func checkVolumes(pod core.PodSpec, report reporter) {
	used := map[string]bool{}
	for _, m := range pod.Containers[0].VolumeMounts {
		used[m.Name] = true
		report(m.SubPath == "", "%s is mounted as a single file", m.MountPath)
		report(slices.ContainsFunc(pod.Volumes, func(v core.Volume) bool { return v.Name == m.Name }),
			"%s has no volume", m.MountPath)
	}
	for _, v := range pod.Volumes {
		report(used[v.Name], "the volume %s isn't mounted", v.Name)
	}
}

// checkSelectors checks that every selector of pods selects the chart's pods, and that every port
// is one of theirs.
func checkSelectors(t *testing.T, o objects, report reporter) {
	t.Helper()
	d := o.deployment(t)
	pods := labels.Set(d.Spec.Template.Labels)
	matches := func(what string, s *meta.LabelSelector) {
		selector, err := meta.LabelSelectorAsSelector(s)
		report(err == nil && !selector.Empty() && selector.Matches(pods), "%s selects other pods: %v", what, s)
	}
	matches("the Deployment", d.Spec.Selector)
	for _, constraint := range d.Spec.Template.Spec.TopologySpreadConstraints {
		matches("spreading over "+constraint.TopologyKey, constraint.LabelSelector)
	}
	for _, b := range objectsOf[*policy.PodDisruptionBudget](o) {
		matches("the PodDisruptionBudget", b.Spec.Selector)
	}
	for _, p := range objectsOf[*networking.NetworkPolicy](o) {
		matches("the NetworkPolicy", &p.Spec.PodSelector)
		for _, rule := range p.Spec.Ingress {
			for _, port := range rule.Ports {
				report(hasPort(d.Spec.Template.Spec.Containers[0], *port.Port),
					"the NetworkPolicy opens port %s, which isn't the container's", port.Port)
			}
		}
	}
	for _, h := range objectsOf[*autoscaling.HorizontalPodAutoscaler](o) {
		report(h.Spec.ScaleTargetRef.Kind == "Deployment" && h.Spec.ScaleTargetRef.Name == d.Name,
			"the autoscaler scales %v", h.Spec.ScaleTargetRef)
		report(d.Spec.Replicas == nil, "the Deployment resets what the autoscaler has chosen")
	}
	services := objectsOf[*core.Service](o)
	for _, s := range services {
		matches("the Service "+s.Name, &meta.LabelSelector{MatchLabels: s.Spec.Selector})
		for _, port := range s.Spec.Ports {
			report(hasPort(d.Spec.Template.Spec.Containers[0], port.TargetPort),
				"the Service %s targets port %s, which isn't the container's", s.Name, port.TargetPort.String())
			report((port.Name == "ops") == strings.HasSuffix(s.Name, "-ops"),
				"the Service %s has port %s: ops is apart from the public API", s.Name, port.Name)
			report(s.Spec.ClusterIP != core.ClusterIPNone ||
				port.Port == containerPort(d.Spec.Template.Spec.Containers[0], port.TargetPort),
				"the headless Service %s maps port %s, which nothing does", s.Name, port.Name)
		}
	}
	for _, m := range objectsOf[*monitoring.ServiceMonitor](o) {
		selector, err := meta.LabelSelectorAsSelector(&m.Spec.Selector)
		scraped := slices.DeleteFunc(slices.Clone(services), func(s *core.Service) bool {
			return err != nil || !selector.Matches(labels.Set(s.Labels))
		})
		report(len(scraped) == 1 && scraped[0].Spec.Ports[0].Name == m.Spec.Endpoints[0].Port,
			"the ServiceMonitor scrapes %d Services", len(scraped))
	}
}

func hasPort(c core.Container, port intstr.IntOrString) bool { return containerPort(c, port) != 0 }

func containerPort(c core.Container, port intstr.IntOrString) int32 {
	for _, p := range c.Ports {
		if p.Name == port.StrVal || port.Type == intstr.Int && p.ContainerPort == port.IntVal {
			return p.ContainerPort
		}
	}
	return 0
}

// checkAvailability checks that a rollout removes no replica before another one is ready, and that
// a drain of nodes removes some replicas, but not all.
func checkAvailability(t *testing.T, o objects, report reporter) {
	t.Helper()
	d := o.deployment(t)
	rolling := d.Spec.Strategy.RollingUpdate
	report(rolling != nil && rolling.MaxUnavailable.String() == "0" && rolling.MaxSurge.String() != "0",
		"a rollout takes replicas away first")
	least := 1
	if d.Spec.Replicas != nil {
		least = int(*d.Spec.Replicas)
	}
	for _, h := range objectsOf[*autoscaling.HorizontalPodAutoscaler](o) {
		least = int(*h.Spec.MinReplicas)
		report(h.Spec.MaxReplicas >= *h.Spec.MinReplicas, "the autoscaler's maximum is below its minimum")
	}
	for _, b := range objectsOf[*policy.PodDisruptionBudget](o) {
		switch {
		case b.Spec.MinAvailable != nil:
			available, err := intstr.GetScaledValueFromIntOrPercent(b.Spec.MinAvailable, least, true)
			report(err == nil && available > 0 && available < least, "the budget keeps %d of %d replicas", available,
				least)
		case b.Spec.MaxUnavailable != nil:
			unavailable, err := intstr.GetScaledValueFromIntOrPercent(b.Spec.MaxUnavailable, least, true)
			report(err == nil && unavailable > 0 && (unavailable < least || least == 1),
				"the budget lets %d of %d replicas go", unavailable, least)
		default:
			report(false, "the budget has no number")
		}
	}
}

// checkNetworkPolicy checks a NetworkPolicy. An ingress rule without peers allows traffic from
// everywhere.
func checkNetworkPolicy(p *networking.NetworkPolicy, report reporter) {
	report(len(p.Spec.PolicyTypes) == 2, "the policy is for %v only", p.Spec.PolicyTypes)
	report(len(p.Spec.Ingress) > 0, "the policy allows no ingress")
	for _, rule := range p.Spec.Ingress {
		report(len(rule.From) > 0 && len(rule.Ports) > 0, "a rule allows every peer or every port: %v", rule)
		for _, port := range rule.Ports {
			report(port.Port.StrVal != "ops" || len(rule.Ports) == 1, "a rule for callers also allows the ops listener")
		}
	}
	dns := false
	for _, rule := range p.Spec.Egress {
		report(len(rule.Ports) > 0, "a rule allows every egress port: %v", rule)
		dns = dns || slices.ContainsFunc(rule.Ports, func(port networking.NetworkPolicyPort) bool {
			return port.Port.IntVal == 53 && is(port.Protocol, core.ProtocolUDP)
		})
	}
	report(dns, "the policy doesn't allow DNS")
}
