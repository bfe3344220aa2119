// Reads ServiceMonitors from stdin, as the Prometheus operator would, and refuses fields that it does not know.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	v1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

func main() {
	documents := yaml.NewYAMLReader(bufio.NewReader(os.Stdin))
	read := 0
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		monitor := &v1.ServiceMonitor{}
		if err == nil {
			err = strict.UnmarshalStrict(document, monitor)
		}
		if err == nil && (monitor.Kind != v1.ServiceMonitorsKind || len(monitor.Spec.Endpoints) == 0) {
			err = errors.New("it is no ServiceMonitor, or has no endpoints")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		read++
	}
	fmt.Println(read)
}
