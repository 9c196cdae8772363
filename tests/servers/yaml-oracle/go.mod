module sealwright.test/yaml-oracle

go 1.26.0

tool sealwright.test/yaml-oracle

require go.yaml.in/yaml/v3 v3.0.4
