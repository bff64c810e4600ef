"""Reflection from a private descriptor pool, where our protocol carries the standard's names."""

from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from latentprint.core.oip import inference_pb2


def standard_pool(service: str) -> DescriptorPool:
    """A pool with health, reflection and our protocol, the last under the package and name of `service`."""
    pool = DescriptorPool()
    for module in (health_pb2, reflection_pb2):
        pool.Add(_file(module.DESCRIPTOR))
    pool.Add(_renamed(_file(inference_pb2.DESCRIPTOR), service))
    return pool


def _file(descriptor: Any) -> FileDescriptorProto:
    proto = FileDescriptorProto()
    descriptor.CopyToProto(proto)
    return proto


def _renamed(proto: FileDescriptorProto, service: str) -> FileDescriptorProto:
    package, _, name = service.rpartition(".")
    ours, theirs = f".{proto.package}.", f".{package}." if package else "."
    for message in proto.message_type:
        _rename_types(message, ours, theirs)
    for method in proto.service[0].method:
        method.input_type = method.input_type.replace(ours, theirs, 1)
        method.output_type = method.output_type.replace(ours, theirs, 1)
    proto.service[0].name = name
    proto.package = package
    proto.name = f"{package or name}/inference.proto"
    return proto


def _rename_types(message: Any, ours: str, theirs: str) -> None:
    for field in (field for field in message.field if field.type_name):
        field.type_name = field.type_name.replace(ours, theirs, 1)
    for nested in message.nested_type:
        _rename_types(nested, ours, theirs)
